"""What an error of a peer means, and what to do about it: Fabric's and gRPC's words made an operator's. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from services.ledger.fabric.answers import Answer
from services.ledger.fabric.errors import (
    ChainDiffers,
    CommitStatusError,
    FabricError,
    PeerBehind,
    PeerError,
    SubmitError,
)
from services.ledger.fabric.signing import ClientIdentity

Kind = Literal["away", "set-up", "busy", "orderers", "endorsers"]
"""Whose the error is: a peer is away, or something is set up wrongly; too many requests; orderers; endorsers."""


@dataclass(frozen=True)
class Diagnosis:
    """What an error means.

    Attributes:
        kind: whose it is.
        advice: for the operator of the gateway: what is wrong, and what to do.
    """

    kind: Kind
    advice: str

    @property
    def is_of_peer(self) -> bool:
        """Whether another peer may do what this one does not."""
        return self.kind in ("away", "set-up")


@dataclass(frozen=True)
class Asked:
    """Who asked what of whom.

    Attributes:
        peer: address and organisation.
        identity: of the client.
        channel: name of the channel.
        chaincode: name of the chaincode.
    """

    peer: str
    identity: ClientIdentity
    channel: str
    chaincode: str


_TLS: Final = r"CERTIFICATE_VERIFY_FAILED|Hostname Verification Check failed|not in peer certificate"

# In the order in which they are tried. What is matched is the status, a space, and all that was said.
_TABLE: Final[tuple[tuple[str, Kind, str], ...]] = (
    (r"access denied|^FORBIDDEN|^PERMISSION_DENIED", "set-up", "{denied}"),
    (
        r"failed to get config for channel|^NOT_FOUND",
        "set-up",
        "it is not on channel {channel}: have it join, or correct the channel's name",
    ),
    (
        r"^BAD_REQUEST",
        "set-up",
        "it does not take a request with this gateway's time: set the clocks. They differ by more than the peer's "
        "`peer.authentication.timewindow`",
    ),
    (
        # The peer that was asked has endorsed, or could. Also right after its start, until it has found the others.
        r"failed to collect enough|no combination of peers|failed to select a set of endorsers|collecting endorsements",
        "endorsers",
        "too few organisations' peers endorse: as many as the policy of chaincode {chaincode} demands must run, with "
        "their chaincode servers{answers}",
    ),
    (
        r"no peers available to evaluate|chaincode \S+ not found|failed to find any endorsing peers",
        "away",
        "no peer of the right organisations has chaincode {chaincode} on channel {channel}: have it installed, "
        "approved and committed there, or correct its name. A peer needs some seconds after its start",
    ),
    (r"chaincode response \d", "set-up", "chaincode {chaincode} is not Consilo's, or of another version"),
    (
        _TLS,
        "set-up",
        "who answers is not the expected peer: its TLS certificate is not of the CA in tls_ca_file, or names another "
        "host than the address (or server_name) does",
    ),
    (r"WRONG_VERSION_NUMBER", "set-up", "who answers speaks no TLS: correct the address, or turn on the peer's TLS"),
    (r"too many requests", "busy", "the peer has as many requests as it takes"),
    (
        r"could not launch chaincode|failed to execute transaction|chaincode stream terminated|error starting",
        "away",
        "the peer cannot reach its server of chaincode {chaincode}: start it, or look at its log",
    ),
    (r"orderer|ordering service", "orderers", "the orderers do not take transactions: see to the ordering service"),
    (r"^DEADLINE_EXCEEDED", "away", "it does not answer in time: it is overloaded, frozen, or behind a broken network"),
    (r"^UNAVAILABLE", "away", "it cannot be reached: start the peer, or correct its address"),
    (r"^OK|^CANCELLED|^INTERNAL|^RESOURCE_EXHAUSTED|^SERVICE_UNAVAILABLE|^INTERNAL_SERVER_ERROR", "away", "{said}"),
)


def diagnose(error: FabricError, asked: Asked, *, now: int) -> Diagnosis:
    """What an error means.

    Args:
        error: of a peer.
        asked: who asked what of whom.
        now: milliseconds since 1970-01-01 UTC.
    """
    match error:
        case PeerBehind():
            return Diagnosis("away", f"{asked.peer}: {error}")
        case ChainDiffers():
            return Diagnosis("set-up", f"{asked.peer}: {error}")
        case CommitStatusError(status="DEADLINE_EXCEEDED"):
            # The peer waits for a block, as it was asked to.
            return Diagnosis("orderers", "the orderers took it, but it is in no block yet: see to the ordering service")
        case SubmitError(status="DEADLINE_EXCEEDED"):
            return Diagnosis("orderers", "the orderers did not take it in time: see to the ordering service")
        case PeerError():
            pass
        case _:
            return Diagnosis("endorsers", str(error))
    if any(_is_of_endorsers(answer) for answer in error.answers):
        return Diagnosis("endorsers", _joined(error.answers))
    said = " ".join((error.status, error.message, *(answer.message for answer in error.answers)))
    for pattern, kind, advice in _TABLE:
        if re.search(pattern, said):
            words = advice.format(
                channel=asked.channel,
                chaincode=asked.chaincode,
                said=error.message or error.status,
                denied=_denied(asked, now),
                answers=_after(error.answers),
            )
            return Diagnosis(kind, f"{asked.peer}: {words}")
    return Diagnosis("endorsers", f"{asked.peer}: {error.message or error.status}{_after(error.answers)}")


def _is_of_endorsers(answer: Answer) -> bool:
    return answer.differs or (answer.refusal is not None and answer.refusal.code != "function-unknown")


def _denied(asked: Asked, now: int) -> str:
    identity = asked.identity
    if identity.expires_at <= now:
        since = datetime.fromtimestamp(identity.expires_at / 1000, UTC).isoformat(timespec="seconds")
        return f"access is denied, since the client certificate of {identity.msp} expired at {since}: renew it"
    return (
        f"access is denied: it does not know the client. The client certificate must be one of MSP {identity.msp}, and "
        f"that MSP a member of channel {asked.channel}"
    )


def _joined(answers: tuple[Answer, ...]) -> str:
    return "; ".join(sorted(map(str, answers)))


def _after(answers: tuple[Answer, ...]) -> str:
    return f" ({_joined(answers)})" if answers else ""
