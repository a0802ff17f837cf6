"""A member at work in a consortium: signs and publishes, reads, and moves artifacts. Does network and file I/O.

The verbs of the protocol's paper keep their names: `metadata_publish`, `metadata_get`, `data_get`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from consilo.api.errors import AnswerInvalid, GatewayRefused, GatewayUnavailable
from consilo.api.gateway import Gateway
from consilo.api.grants import ask_for_grant
from consilo.api.heads import HeadMemory, verify_head
from consilo.api.models import Committed, DownloadRequest, UploadRequest
from consilo.api.networks import Networks
from consilo.api.patience import Patience
from consilo.api.places import Place
from consilo.api.settings import ApiSettings
from consilo.api.transfers import Upload, download_file, open_upload, upload_file
from consilo.identity.identity import Identity
from consilo.protocol.bodies import ArtifactReference, RecordAccess, UpdateArtifact
from consilo.protocol.model import Record
from consilo.protocol.records import Organisation
from consilo.protocol.specification import Artifact
from consilo.protocol.transaction import Transaction, certificate_der, envelope, payload, signed_bytes
from consilo.protocol.transitions.table import TRANSITIONS
from consilo.protocol.values import organisation_of
from consilo.protocol.views import RunStatus

__all__ = ["Party", "Place"]

_NAMES = {transition.body: name for name, transition in TRANSITIONS.items()}


class Party:
    """A member: its identity, its gateway, and through the ledger everybody else's gateways and stores.

    Use as an async context manager.

    Args:
        identity: who acts.
        gateway_url: of the ledger service that the member uses.
        settings: limits and waits.
        memory: remembers the newest head seen.
        patience: how long to wait for what is away; default: for ever.
        registered: False for a member whose organisation the ledger does not know yet: it can publish its registration,
            but read nothing.
    """

    def __init__(
        self,
        identity: Identity,
        gateway_url: str,
        *,
        settings: ApiSettings | None = None,
        memory: HeadMemory | None = None,
        patience: Patience | None = None,
        registered: bool = True,
    ) -> None:
        self.identity = identity
        self.settings = settings if settings is not None else ApiSettings()
        self.patience = patience if patience is not None else Patience(self.settings)
        self._url = gateway_url
        self._registered = registered
        self._memory = memory if memory is not None else HeadMemory()
        self._http = Gateway.http_client(self.settings)
        self._networks = Networks.of(self.settings.private_networks, urlsplit(gateway_url).hostname or "")
        self._http_to_others: httpx.AsyncClient | None = None  # made when first needed: many members never do
        self._organisations: dict[str, Organisation] = {}
        self._gateway: Gateway | None = None
        self._ledger = ""

    async def __aenter__(self) -> Self:
        """Connect."""
        try:
            await self.connect()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self._close()

    async def _close(self) -> None:
        await self._http.aclose()
        if self._http_to_others is not None:
            await self._http_to_others.aclose()

    @property
    def member(self) -> str:
        """Id of the member."""
        return self.identity.member

    @property
    def gateway(self) -> Gateway:
        """The member's own gateway. Only after `connect`."""
        if self._gateway is None:
            raise RuntimeError("connect first")
        return self._gateway

    @property
    def ledger(self) -> str:
        """Name of the ledger. Only after `connect`."""
        return self._ledger

    async def connect(self) -> None:
        """Find the gateway and check that its ledger still has the newest block seen. Waits for it when it is away.

        Raises:
            LedgerRolledBack: it has not.
            ApiError: the gateway refuses, or answers otherwise than it should.
        """
        await self.patience("reach the gateway", self._connect)

    async def _connect(self) -> None:
        unnamed = self._gateway_at(self._url, self.identity.msp)
        info = await unnamed.info()
        if not info.organisations:
            raise AnswerInvalid(f"{self._url} is no organisation's gateway")
        audience = self.identity.msp if self.identity.msp in info.organisations else info.organisations[0]
        gateway = self._gateway_at(self._url, audience)
        self._gateway, self._ledger = gateway, info.ledger
        if not self._registered:
            return
        seen = self._memory.seen
        try:
            signed = await gateway.head()
            organisation = await gateway.organisation(organisation_of(signed.signed_by))
        except GatewayRefused as error:
            if error.code == "organisation-unknown":  # its registration may be on its way
                raise GatewayUnavailable(error.message, error.code) from None
            raise
        verify_head(signed, tuple(certificate_der(root) for root in organisation.roots))
        self._memory.require(signed.head, seen, None if seen is None else await gateway.hash_at(seen.height))

    def _gateway_at(self, url: str, audience: str, http: httpx.AsyncClient | None = None) -> Gateway:
        return Gateway(url, audience=audience, identity=self.identity, http=http or self._http, settings=self.settings)

    def sign(self, body: Record) -> Transaction:
        """The member's transaction with this body (see `consilo.protocol.bodies`)."""
        signed = payload(self._ledger, self.member, _NAMES[type(body)], body)
        return envelope(signed, self.identity.certificates, self.identity.sign(signed_bytes(signed)))

    async def metadata_publish(self, body: Record) -> Committed:
        """Sign a transaction, hand it in, and wait until it is on the ledger. Repeating it changes nothing.

        Raises:
            GatewayRefused: the rules do not admit it (`code` says why, `retryable` whether they may later).
            LedgerRolledBack: the ledger lost blocks.
        """
        transaction = self.sign(body)
        what = transaction.payload.type.replace("_", " ")
        committed = await self.patience(what, lambda: self.gateway.submit(transaction))
        self._memory.observe(committed.head.head)
        return committed

    async def metadata_get(self, run: str) -> RunStatus:
        """Where a run stands, from the ledger."""
        return await self.patience("read the ledger", lambda: self.gateway.run_status(run))

    async def organisation(self, msp: str, *, fresh: bool = False) -> Organisation:
        """An organisation's registration; remembered unless `fresh`."""
        if fresh or msp not in self._organisations:
            self._organisations[msp] = await self.patience("read the ledger", lambda: self.gateway.organisation(msp))
        return self._organisations[msp]

    async def data_get(self, run: str, artifact: ArtifactReference, owner: str, path: Path) -> None:
        """Fetch an artifact from the store of its owner (an MSP id) into a file.

        The file appears only when its digest is right. Records the access on the ledger where the run's policy demands
        it. Waits for whoever is away.

        Raises:
            GatewayRefused: the reader may not have it.
            TransferError: the store does not have it, or serves other bytes.
        """

        async def attempt() -> None:
            place = await self.place_to_get(run, artifact, owner)
            await asyncio.to_thread(
                download_file,
                place.request,
                path,
                expected_bytes=place.size_bytes,
                expected_sha256=artifact.sha256,
                allowed_hosts=place.allowed_hosts,
                timeout_seconds=self.settings.transfer_timeout_seconds,
                ca_file=self._ca_file,
                networks=place.networks,
                pace=self.settings.pace,
            )

        await self.patience("fetch an artifact", attempt)

    def needs_record(self, artifact: ArtifactReference, owner: str) -> bool:
        """Whether the ledger must have the member's access to an artifact of this owner before it may be read."""
        selected_for_us = isinstance(artifact, UpdateArtifact) and self.identity.role == "aggregator"
        return owner != self.identity.msp and not selected_for_us

    async def place_to_get(self, run: str, artifact: ArtifactReference, owner: str, *, recorded: bool = False) -> Place:
        """A signed request for an artifact, from its owner's gateway, after recording the access. One attempt.

        Args:
            run: name of the run.
            artifact: which one.
            owner: MSP id of the organisation in whose store it lies.
            recorded: whether the access is on the ledger already.
        """
        gateway, organisation = await self.gateway_of(owner)
        access = None
        if not recorded and self.needs_record(artifact, owner):
            record = RecordAccess(run=run, artifacts=(artifact,))
            if _origin(gateway.url) == _origin(self._url):
                access = self.sign(record)
            else:  # that it is recorded is not left to the owner's gateway
                await self.metadata_publish(record)
        request = DownloadRequest(run=run, artifact=artifact, access=access)
        grant = await ask_for_grant(gateway, request, own=self.gateway)
        if grant.committed is not None:
            self._memory.observe(grant.committed.head.head)
        own = await self.organisation(self.identity.msp)
        is_own = owner == own.msp or urlsplit(grant.request.url).netloc in own.stores
        networks = None if is_own else self._networks
        return Place(grant.request.request(), organisation.stores, "", owner, grant.size_bytes, networks)

    async def data_put(self, run: str, path: Path) -> Artifact:
        """Put a file into the own organisation's store, as an artifact of a run; its digest is computed on the way."""
        size_bytes = await asyncio.to_thread(lambda: path.stat().st_size)

        async def attempt() -> Artifact:
            place = await self.place_to_put(run, size_bytes)
            sha256 = await asyncio.to_thread(
                upload_file,
                place.request,
                path,
                allowed_hosts=place.allowed_hosts,
                timeout_seconds=self.settings.transfer_timeout_seconds,
                ca_file=self._ca_file,
                networks=place.networks,
            )
            return self.artifact(place, sha256)

        return await self.patience("store an artifact", attempt)

    async def place_to_put(self, run: str, size_bytes: int) -> Place:
        """A new place for an artifact in the own organisation's store. One attempt."""
        grant = await self.gateway.upload(UploadRequest(run=run, size_bytes=size_bytes))
        organisation = await self.organisation(grant.organisation)
        return Place(grant.request.request(), organisation.stores, grant.key, grant.organisation, size_bytes)

    def open_upload(self, place: Place) -> Upload:
        """Start to write to a place. Blocking: for threads."""
        return open_upload(
            place.request,
            size_bytes=place.size_bytes,
            allowed_hosts=place.allowed_hosts,
            timeout_seconds=self.settings.transfer_timeout_seconds,
            ca_file=self._ca_file,
            networks=place.networks,
        )

    @staticmethod
    def artifact(place: Place, sha256: str) -> Artifact:
        """The record of what was put to a place."""
        return Artifact(
            organisation=place.organisation, key=place.artifact_key, sha256=sha256, size_bytes=place.size_bytes
        )

    @property
    def _ca_file(self) -> Path | None:
        return None if self.settings.ca_file is None else Path(self.settings.ca_file)

    async def gateway_of(self, msp: str) -> tuple[Gateway, Organisation]:
        """An organisation's gateway, as it is registered, and its registration. Nobody is asked there yet."""
        organisation = await self.organisation(msp)
        if msp == self.gateway.audience:
            return self.gateway, organisation
        if msp == self.identity.msp or _origin(organisation.gateway) == _origin(self._url):
            return self._gateway_at(organisation.gateway, msp), organisation
        if self._http_to_others is None:
            self._http_to_others = Gateway.http_client(self.settings, networks=self._networks)
        return self._gateway_at(organisation.gateway, msp, self._http_to_others), organisation


def _origin(url: str) -> tuple[str, str]:
    return urlsplit(url)[:2]
