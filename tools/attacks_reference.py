"""docs/reference/attacks.md: made from the table of attacks that the tests take their codes from. Pure."""

from __future__ import annotations

from tests.attacks.table import SECTIONS, Attack
from tools.markdown import code, heading, page, paragraph, table


def attacks_page() -> str:
    """The whole page."""
    parts: list[str] = []
    for title, attacks in SECTIONS.items():
        columns = ("attack", "refused by", "with", "tried in")
        parts += [heading(2, title), table(columns, [_row(attack) for attack in attacks])]
    return page(
        "Attacks",
        paragraph(
            "Each line is tried by the test that it names: `make test` runs all of them, but for those on a Fabric "
            "network, which `make test-fabric` runs. After each attack the ledger "
            "holds what it held before, and the service that was attacked serves others. What is not protected is in "
            "the [security model](../security-model.md)."
        ),
        paragraph(
            "`with` is the code that programs get, and the status where it is an answer over HTTP. Codes of the state "
            "machine are explained under [refusals](protocol.md#refusals), those of the ledger service under "
            "[problems](rest.md#problems). Where whoever verifies sees through it, the code is that of the finding. "
            "`cut off` means that the connection is closed without an answer."
        ),
        *parts,
    )


def _row(attack: Attack) -> tuple[str, str, str, str]:
    is_code = " " not in attack.code
    told = code(attack.code) if is_code else attack.code
    answer = told if attack.status is None else f"{attack.status} {told}"
    file, _, function = attack.test.partition("::")
    return attack.name, attack.where, answer, f"[{function}](../../{file})"
