"""Which addresses other organisations may lead this member to, and connecting to no other. Resolves names, connects.

Other organisations register the URL of their gateway and the hosts of their stores, and this member connects to them.
So that nobody can point it at a machine inside its own network, the address is judged, not the name: it is resolved
here and exactly that address is connected to, so a name that changes its mind between two look-ups wins nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOOPBACK: Final[tuple[Network, ...]] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class AddressNotAllowed(Exception):
    """None of a host's addresses may be connected to."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} lies in no network that other organisations may lead to; if it is meant to, name its network in "
            "the setting private_networks"
        )


@dataclass(frozen=True)
class Networks:
    """Where other organisations' gateways and stores may lie: at public addresses, and in these networks.

    Attributes:
        private: networks of addresses that are not public.
    """

    private: tuple[Network, ...] = ()

    @classmethod
    def of(cls, private: tuple[str, ...], gateway_host: str) -> Networks:
        """From settings.

        Args:
            private: networks in CIDR notation.
            gateway_host: of the own gateway: when it is on loopback, everything is on one machine, so that others' are
                admitted there too.
        """
        loopback = _LOOPBACK if _is_loopback(gateway_host) else ()
        return cls((*(ipaddress.ip_network(text) for text in private), *loopback))

    def admits(self, text: str) -> bool:
        """Whether a numeric address may be connected to."""
        address = _reached(ipaddress.ip_address(text))
        if any(address in network for network in self.private):
            return True
        return address.is_global and not address.is_multicast

    def choose(self, host: str, found: list[str]) -> list[str]:
        """Those of a host's addresses that may be connected to, in order.

        Raises:
            AddressNotAllowed: there is none.
        """
        chosen = [address for address in found if self.admits(address)]
        if not chosen:
            raise AddressNotAllowed(host)
        return chosen


def connect(host: str, port: int, *, timeout_seconds: float, networks: Networks | None) -> socket.socket:
    """A TCP connection; blocking, for threads.

    Args:
        host: name or address, without brackets.
        port: of the host.
        timeout_seconds: for each of its addresses; stays the socket's.
        networks: to which it must lead; None: to any.

    Raises:
        AddressNotAllowed: it leads elsewhere; nothing was sent.
        OSError: no connection.
    """
    if networks is None:
        return socket.create_connection((host, port), timeout=timeout_seconds)
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    failure = OSError("the host has no address")
    for address in networks.choose(host, found):
        try:
            return socket.create_connection((address, port), timeout=timeout_seconds)
        except OSError as error:
            failure = error
    raise failure


def _reached(address: Address) -> Address:
    # The IPv4 address that an IPv6 address stands for, where it does: judged as what is reached in the end.
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
