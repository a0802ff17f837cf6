"""docs/reference/protocol.md: made from the table of transitions, the records, the refusals and the queries. Pure."""

from __future__ import annotations

from typing import Final

from consilo.protocol import access, apply, closing, cohort, refusals, selection
from consilo.protocol.queries import QUERIES
from consilo.protocol.refusals import REFUSALS
from consilo.protocol.rounds import MAX_ATTEMPT
from consilo.protocol.transitions.table import COMMON_REFUSALS, TRANSITIONS, Transition
from tools.markdown import bullets, code, codes, doc, heading, link, page, paragraph, table
from tools.model_fields import fields_of
from tools.protocol_formats import formats_chapter
from tools.protocol_records import model_table, records_chapter, specification_chapter, type_link, values_chapter

_WORDS: Final = {
    "organisation": "a party of the consortium, known on the ledger by its MSP id, its CA roots, its gateway's URL and "
    "its stores' hosts; the unit of trust",
    "member": "`<msp>/<name>`: a certificate of an organisation's CA with its role; it signs its own transactions",
    "silo": "a member that holds data and trains",
    "run": "one federated training, agreed on the ledger by its specification",
    "round": "global model r, local updates on it, selection, global model r + 1",
    "attempt": "one try at closing a round; usually there is one",
    "generation": "what was made since the last annulment; a run without one has generation 0 only",
    "cohort": "the silos asked to train in an attempt",
    "update": "one silo's local model of one round: its metadata on the ledger, its artifact in the store",
    "artifact": "a safetensors file; the ledger holds its SHA-256, size and object key; the object is written once",
    "selection": "the updates that go into the next global model, and their weights; computed by the ledger",
    "task": "model, data loading, training, evaluation: code that a silo's operator installs; it never travels",
    "strategy": "how the selected updates become the next global model",
    "attestation": "a verifier's signed word that it recomputed a global model",
    "gateway": "an organisation's ledger service: relays transactions, answers reads, signs URLs of its own store",
}

_DIAGRAM: Final = """\
```mermaid
stateDiagram-v2
    [*] --> proposed: propose_run
    proposed --> active: approve_run, the last one needed
    proposed --> rejected: reject_run, too few are left
    proposed --> stopped: stop_run
    active --> stopped: stop_run
    active --> finished: publish_global or attest_global, last round
    finished --> active: attest_global, annulled
    rejected --> [*]
    stopped --> [*]
    finished --> [*]
    state active {
        state "no global yet" as begun
        state "awaiting attestations" as awaiting
        [*] --> begun
        begun --> open: publish_global 0
        open --> open: publish_update
        open --> closed: close_round
        open --> open: reopen_round, next attempt
        closed --> open: reopen_round, next attempt
        closed --> open: publish_global, next round
        closed --> awaiting: publish_global, attestations are required
        awaiting --> open: attest_global ok, next round
        open --> open: attest_global mismatch, annulled
        closed --> open: attest_global mismatch, annulled
        awaiting --> open: attest_global mismatch, annulled
    }
```"""


def protocol_page() -> str:
    """The whole page."""
    return page(
        "Protocol reference",
        paragraph(
            "The state machine (`consilo.protocol`) is a pure function: state, signed transaction and time give writes "
            "and an event, or a refusal with a stable code. The embedded ledger and whoever replays its blocks run the "
            "same code."
        ),
        _contents(),
        heading(2, "Words"),
        table(("word", "meaning"), list(_WORDS.items())),
        _life(),
        _transitions(),
        specification_chapter(),
        records_chapter(),
        values_chapter(),
        _refusals(),
        _events_and_queries(),
        formats_chapter(),
    )


def _contents() -> str:
    chapters = (
        "Words",
        "The life of a run",
        "Transactions",
        "The specification of a run",
        "Keys and records",
        "Value types",
        "Refusals",
        "Events",
        "Queries",
        "Formats",
    )
    return bullets(link(chapter, chapter) for chapter in chapters)


def _life() -> str:
    return "\n\n".join(
        [
            heading(2, "The life of a run"),
            _DIAGRAM,
            heading(3, "Rounds and attempts"),
            paragraph(
                "Global 0 is the specification's initial artifact. Publishing global r opens round r with its first "
                "attempt, which names a cohort and a deadline. Silos of the cohort publish updates; `close_round` "
                "records the selection; `publish_global` with exactly its inputs and weights makes global r + 1. Any "
                "participant of a run (an aggregator, a silo, an operator) may close a round once the rule below "
                "holds, and reopen it once its time is over without a global."
            ),
            paragraph(
                "A new attempt (`reopen_round`) keeps the base. Updates that count carry over; those that an "
                "aggregator excluded do not, and their owners may replace them; those that the policy can never select "
                f"do not either. A round has at most {MAX_ATTEMPT} attempts."
            ),
            heading(3, "Generations"),
            paragraph(
                "Keys are written once, so an annulment removes nothing. It starts a new generation: the record under "
                "`generation/<n>` names the annulled global of round g, and every attempt and global that an earlier "
                "generation made from that global on is void, because it descends from it. The round before, g - 1, "
                "is opened again with the next unused attempt number, on the same base and with the updates that "
                "counted. Each generation notes under `entry/<generation>/<round>` the attempt with which it entered a "
                "round; its entries are contiguous, so the current round is found with a number of reads that grows "
                "with the logarithm of the rounds. A run that was stopped is annulled without a new attempt."
            ),
            heading(3, "When an attempt may be closed"),
            doc(closing.closable_from),
            doc(closing.reopenable_from),
            heading(3, "How a cohort is drawn"),
            doc(cohort.draw_cohort),
            heading(3, "How updates are selected"),
            paragraph(
                "`all`: every update that counts. `top_k`: the k best by a metric, ties to the smaller member id. "
                "`at_least`: those whose metric is at least a value. An update without the metric is left out. The "
                "weight of an update is its number of samples."
            ),
            doc(selection.updates_digest),
            heading(3, "Who may read what"),
            doc(access),
            heading(3, "Times"),
            paragraph(
                "Times are the ledger's, in milliseconds since 1970-01-01 UTC. A record is never dated before the "
                "records that it follows from, whatever the clock does."
            ),
        ]
    )


def _transitions() -> str:
    overview = table(
        ("transaction", "by", "may also make true"),
        [(link(row.name, row.name), ", ".join(_roles(row)), codes(row.effects)) for row in TRANSITIONS.values()],
    )
    return "\n\n".join(
        [
            heading(2, "Transactions"),
            overview,
            paragraph(f"Every transaction may be refused, in this order, with {codes(COMMON_REFUSALS)}."),
            *(_transition(row) for row in TRANSITIONS.values()),
        ]
    )


def _transition(row: Transition) -> str:
    parts = [heading(3, row.name), f"By: {', '.join(_roles(row))}.", paragraph(row.does)]
    parts += ["The body: " + doc(row.body), model_table(row.body)]
    parts.append(paragraph(f"Refused, in this order, with {codes(row.refusals)}."))
    if row.effects:
        parts.append(paragraph(f"May also make true: {codes(row.effects)}."))
    return "\n\n".join(parts)


def _roles(row: Transition) -> list[str]:
    return ["any role"] if len(row.roles) == 6 else list(row.roles)


def _refusals() -> str:
    rows = []
    for kind in REFUSALS.values():
        if kind.code in COMMON_REFUSALS:
            where = "every transaction"
        else:
            names = [row.name for row in TRANSITIONS.values() if kind.code in row.refusals]
            where = ", ".join(link(name, name) for name in names)
        rows.append((code(kind.code), "retryable" if kind.retryable else "final", kind.meaning, where))
    return "\n\n".join(
        [
            heading(2, "Refusals"),
            doc(refusals),
            table(("code", "", "meaning", "of"), rows),
        ]
    )


def _events_and_queries() -> str:
    events = [(code(field.name), field.type) for field in fields_of(apply.Event, type_link)]
    queries = []
    for query in QUERIES.values():
        arguments = ", ".join(f"{code(field.name)}: {field.type}" for field in fields_of(query.arguments, type_link))
        queries.append((code(query.name), arguments or "none", code(query.answer.__name__), doc(query.answer)))
    return "\n\n".join(
        [
            heading(2, "Events"),
            doc(apply.Event),
            table(("field", "type"), events),
            heading(2, "Queries"),
            paragraph("What a ledger answers about its state, each from one consistent state."),
            table(("query", "arguments", "answer", "what it is"), queries),
        ]
    )
