"""The attacks: what is tried, who refuses it, with which code, and the test that tries it. Pure; no I/O.

The tests take their codes from here, docs/reference/attacks.md is made from here, and a test checks that every row's
test is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MACHINE: Final = "state machine"
GATEWAY: Final = "ledger service"
STORE: Final = "object store"
READER: Final = "whoever reads"
CLIENT: Final = "client library"
ENDORSERS: Final = "endorsing peers"
PEERS: Final = "all peers"
VERIFICATION: Final = "whoever verifies"

_PROTOCOL: Final = "tests/attacks/test_protocol.py::test_the_state_machine_refuses"
_UNUSABLE: Final = (
    "tests/integration/test_aggregator.py::test_an_unusable_update_is_excluded_and_its_owner_may_replace_it"
)


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: what is tried.
        where: who refuses it.
        code: with which code; an exclusion's or annulment's reason where that is the answer.
        status: of HTTP, when it is refused over HTTP; None else.
        test: `file::function`.
    """

    name: str
    where: str
    code: str
    test: str
    status: int | None = None


def _machine(name: str, code: str, test: str = _PROTOCOL) -> Attack:
    return Attack(name, MACHINE, code, test)


_STORE: Final = "tests/attacks/test_store.py::"
_REST: Final = "tests/attacks/test_rest.py::"
_SLOW: Final = "tests/attacks/test_slow_clients.py::"
_NETWORKS: Final = "tests/attacks/test_networks.py::"
_TOKENS: Final = "tests/integration/test_ledger_service_tokens.py::"
_BODIES: Final = "tests/integration/test_ledger_service_bodies.py::"
_HTTP: Final = "tests/unit/hosting/test_web.py::"
_ENDORSERS: Final = "tests/fabric/test_lies_endorsers.py::"
_GATEWAYS: Final = "tests/fabric/test_lies_gateways.py::"
_MADE_UP: Final = f"{_GATEWAYS}test_blocks_that_a_gateway_made_up_are_found_by_whoever_verifies_there"
_ALTERED: Final = f"{_ENDORSERS}test_metadata_that_a_gateway_alters_is_refused_by_every_endorser"
_FORGED: Final = f"{_ENDORSERS}test_an_update_that_a_gateway_forges_for_a_member_is_refused_by_every_endorser"

SECTIONS: Final[dict[str, tuple[Attack, ...]]] = {
    "Updates": (
        _machine("an update for a closed round", "round-closed"),
        _machine("an update for a future round", "attempt-not-open"),
        _machine("an update for an attempt that was reopened", "attempt-superseded"),
        _machine("an update for another run's round", "base-mismatch"),
        _machine("an update by a silo that was not asked", "not-in-cohort"),
        _machine("an update by an organisation that takes no part", "organisation-not-named"),
        _machine("an update by a member that is no silo", "role-not-allowed"),
        _machine("an update in another silo's name", "member-mismatch"),
        _machine("an update by a revoked certificate", "certificate-revoked"),
        _machine("an update by an expired certificate", "certificate-expired"),
        _machine("an update by a certificate of another organisation's CA", "certificate-untrusted"),
        _machine("an update that was changed on its way", "signature-invalid"),
        _machine("an update signed for another ledger", "wrong-ledger"),
        _machine("an update trained on another base", "base-mismatch"),
        _machine("an update of another size than the schema's", "artifact-mismatch"),
        _machine("an update that lies with another organisation", "artifact-mismatch"),
        _machine("metrics that are not finite", "malformed"),
        _machine("metrics that are spelled otherwise than they must be", "malformed"),
        _machine("a number of samples of zero", "malformed"),
        _machine("a negative number of samples", "malformed"),
        _machine("a number of samples that is no integer", "malformed"),
        _machine("more samples than the silo's cap", "too-many-samples"),
        _machine("two updates of one silo with different content", "already-published"),
    ),
    "Artifacts": (
        Attack("bytes that do not match the digest", READER, "digest-mismatch", _UNUSABLE),
        Attack("an object that is missing", READER, "unavailable", _UNUSABLE),
        Attack("an artifact of another size than its record", READER, "malformed", _UNUSABLE),
        Attack("an artifact with another schema, dtype or shape", READER, "malformed", _UNUSABLE),
        Attack("weights with NaN or infinity", READER, "not-finite", _UNUSABLE),
        Attack(
            "a file with a hostile safetensors header",
            READER,
            "malformed",
            "tests/attacks/test_artifacts.py::test_a_hostile_header_is_never_parsed",
        ),
        Attack("an object cut short after it was stored", CLIENT, "size-mismatch", f"{_STORE}test_an_object_cut_short"),
        Attack(
            "an object overwritten on the store's disk",
            CLIENT,
            "digest-mismatch",
            f"{_STORE}test_an_object_overwritten",
        ),
        Attack(
            "an object that is gone from the store", CLIENT, "object-missing", f"{_STORE}test_an_object_that_is_gone"
        ),
    ),
    "Globals and rounds": (
        _machine("a global of other inputs than the selection's", "selection-mismatch"),
        _machine("a global of other weights than the selection's", "selection-mismatch"),
        _machine("a global by another strategy", "selection-mismatch"),
        _machine("a global before the round is closed", "round-not-closed"),
        _machine("a second global of one attempt", "global-exists"),
        _machine("a first global that is not the initial one", "initial-mismatch"),
        _machine("a global by a member that is no aggregator of the run", "organisation-not-named"),
        Attack(
            "a global with one flipped bit",
            "verifiers",
            "annulled",
            "tests/integration/test_verifier.py::test_a_lie_is_annulled_and_an_honest_aggregator_goes_on",
        ),
        _machine("closing a round too early", "too-early"),
        _machine("closing a round on updates that have changed", "updates-changed"),
        _machine("reopening a round without a reason", "nothing-to-reopen"),
        _machine("excluding a member that has no update", "exclusion-unknown"),
        _machine("excluding by a silo, to push another one out", "role-not-allowed"),
        Attack(
            "excluding an honest silo",
            MACHINE,
            "counted, by name; the silo publishes again",
            "tests/attacks/test_protocol.py::test_an_honest_silo_that_was_excluded_comes_back",
        ),
        _machine("an attestation by a verifier that the run does not name", "organisation-not-named"),
    ),
    "Requests": (
        Attack("a forged token", GATEWAY, "token-untrusted", f"{_REST}test_tokens", 401),
        Attack("a token without a signature", GATEWAY, "token-malformed", f"{_REST}test_tokens", 401),
        Attack("an expired token", GATEWAY, "token-expired", f"{_REST}test_tokens", 401),
        Attack(
            "a token for another organisation's gateway", GATEWAY, "token-wrong-audience", f"{_REST}test_tokens", 401
        ),
        Attack("a token for another method", GATEWAY, "token-wrong-request", f"{_REST}test_tokens", 401),
        Attack("a token for another path", GATEWAY, "token-wrong-request", f"{_REST}test_tokens", 401),
        Attack("a token for another body", GATEWAY, "token-wrong-request", f"{_REST}test_tokens", 401),
        Attack(
            "a token of a revoked member",
            GATEWAY,
            "token-untrusted",
            f"{_TOKENS}test_a_revoked_certificate_counts_nothing_from_then_on",
            401,
        ),
        Attack("JSON that is malformed", GATEWAY, "malformed", f"{_REST}test_bodies", 400),
        Attack("JSON that is nested too deep", GATEWAY, "malformed", f"{_REST}test_bodies", 400),
        Attack("JSON with a key twice", GATEWAY, "malformed", f"{_REST}test_bodies", 400),
        Attack("JSON with unknown fields", GATEWAY, "malformed", f"{_REST}test_bodies", 400),
        Attack("JSON that is too large", GATEWAY, "too-large", f"{_REST}test_bodies", 413),
        Attack("names with path characters", GATEWAY, "malformed", f"{_REST}test_names", 400),
        Attack("names with homoglyphs", GATEWAY, "malformed", f"{_REST}test_names", 400),
        Attack("names with control characters", GATEWAY, "malformed", f"{_REST}test_names", 400),
        Attack(
            "reading another's update without a record", GATEWAY, "access-not-recorded", f"{_REST}test_reading", 409
        ),
        Attack("a cursor of a ledger that was set back", GATEWAY, "position-unknown", f"{_REST}test_cursors", 404),
    ),
    "HTTP": (
        Attack("an announced body that is too large", GATEWAY, "too-large", f"{_REST}test_lengths", 413),
        Attack("a negative Content-Length", GATEWAY, "bad-request", f"{_REST}test_lengths", 400),
        Attack("two different lengths of one body", GATEWAY, "bad-request", f"{_REST}test_lengths", 400),
        Attack(
            "a chunked body without an end",
            GATEWAY,
            "too-large",
            f"{_BODIES}test_a_body_that_becomes_too_large_is_not_read_to_its_end",
            413,
        ),
        Attack("a head without an end", GATEWAY, "too-large", f"{_REST}test_heads", 431),
        Attack("a head with thousands of headers", GATEWAY, "too-large", f"{_REST}test_heads", 431),
        Attack(
            "a head that trickles in",
            GATEWAY,
            "cut off",
            f"{_HTTP}test_a_head_that_trickles_in_is_not_waited_for",
        ),
        Attack(
            "an answer that is not read",
            GATEWAY,
            "cut off",
            f"{_HTTP}test_a_peer_that_reads_nothing_is_cut_off",
        ),
        Attack("a body that trickles in", GATEWAY, "timeout", f"{_SLOW}test_a_slow_body", 408),
        Attack("hundreds of slow connections", GATEWAY, "others are served", f"{_SLOW}test_slow_loris_on_the_ledger"),
        Attack("hundreds of slow connections", STORE, "others are served", f"{_SLOW}test_slow_loris_on_the_store"),
        Attack("slow uploads on every connection", STORE, "cut off", f"{_SLOW}test_slow_uploads"),
        Attack("slow downloads on every connection", STORE, "cut off", f"{_SLOW}test_slow_downloads"),
        Attack("a store that drips bytes to us", CLIENT, "transfer-unavailable", f"{_SLOW}test_a_dripping_store"),
        Attack("a gateway that drips bytes to us", CLIENT, "gateway-unavailable", f"{_SLOW}test_a_dripping_gateway"),
        Attack(
            "1,000 idle event streams",
            GATEWAY,
            "others are served",
            "tests/attacks/test_event_streams.py::test_a_thousand_idle_event_streams_do_not_keep_others_out",
        ),
    ),
    "Signed URLs": (
        Attack("a URL used for another object", STORE, "url-invalid", f"{_STORE}test_urls", 403),
        Attack("a URL used for another method", STORE, "url-invalid", f"{_STORE}test_urls", 403),
        Attack("a URL with a later expiry", STORE, "url-invalid", f"{_STORE}test_urls", 403),
        Attack("a URL of another secret", STORE, "url-invalid", f"{_STORE}test_urls", 403),
        Attack("a URL after its expiry", STORE, "url-expired", f"{_STORE}test_urls", 403),
        Attack("a longer body than signed for", STORE, "too-large", f"{_STORE}test_urls", 413),
        Attack("a shorter body than signed for", STORE, "size-mismatch", f"{_STORE}test_urls", 400),
        Attack("a second upload under one URL", STORE, "object-exists", f"{_STORE}test_urls", 412),
        Attack("a key with dot segments", STORE, "url-invalid", f"{_STORE}test_urls", 403),
    ),
    "Networks": (
        Attack("a store that no organisation registered", CLIENT, "host-not-allowed", f"{_NETWORKS}test_unregistered"),
        Attack("a store registered inside the reader's network", CLIENT, "host-not-allowed", f"{_NETWORKS}test_stores"),
        Attack(
            "a gateway registered inside the reader's network",
            CLIENT,
            "gateway-not-allowed",
            f"{_NETWORKS}test_gateways",
        ),
        Attack(
            "a name that resolves to another address the second time",
            CLIENT,
            "host-not-allowed",
            f"{_NETWORKS}test_a_name_that_changes_its_mind_wins_nothing",
        ),
        Attack(
            "a redirect to another host",
            CLIENT,
            "transfer-refused",
            "tests/unit/store/test_transfers_hostile.py::test_each_bad_answer_has_its_error",
        ),
    ),
    "A Fabric network": (
        Attack("metadata of an update that its member's gateway alters", ENDORSERS, "signature-invalid", _ALTERED),
        Attack(
            "an update that a gateway forges for another organisation's member",
            ENDORSERS,
            "certificate-untrusted",
            _FORGED,
        ),
        Attack(
            "an update that a gateway has signed by another member of its organisation",
            ENDORSERS,
            "member-mismatch",
            _FORGED,
        ),
        Attack(
            "a registration of another organisation's roots",
            ENDORSERS,
            "registration-not-vouched",
            f"{_ENDORSERS}test_an_organisation_is_not_registered_by_anothers_gateway",
        ),
        Attack(
            "a transaction with a time of its gateway's making",
            ENDORSERS,
            "clock-differs",
            f"{_ENDORSERS}test_a_time_that_a_gateway_makes_up_is_refused_by_every_endorser",
        ),
        Attack(
            "a global of weights that only the aggregator's own peer endorses",
            ENDORSERS,
            "selection-mismatch",
            f"{_ENDORSERS}test_a_global_of_another_selection_than_the_recorded_one_finds_no_second_endorser",
        ),
        Attack(
            "a selection that one peer makes up",
            ENDORSERS,
            "endorsers-differ",
            f"{_GATEWAYS}test_a_run_stands_still_while_the_aggregators_own_peer_makes_up_selections_and_then_ends_whole",
            503,
        ),
        Attack(
            "a transaction that one organisation endorses alone",
            PEERS,
            "in a block, without effect",
            f"{_ENDORSERS}test_what_one_organisation_endorses_alone_is_in_a_block_and_has_no_effect",
        ),
        Attack("a block with a false word on what counts", VERIFICATION, "flag", _MADE_UP),
        Attack("a block without a transaction", VERIFICATION, "chain", _MADE_UP),
        Attack(
            "a peer with another state",
            VERIFICATION,
            "commit-hash",
            f"{_GATEWAYS}test_a_peer_that_holds_another_state_is_found_by_whoever_verifies_anywhere",
        ),
    ),
}
"""Section -> its attacks."""

ATTACKS: Final = tuple(attack for attacks in SECTIONS.values() for attack in attacks)
CODES: Final = {attack.name: attack.code for attack in ATTACKS}
"""Attack -> its code."""


def attacks_of(test: str) -> list[Attack]:
    """The rows that a test (`file::function`) tries."""
    return [attack for attack in ATTACKS if attack.test == test]
