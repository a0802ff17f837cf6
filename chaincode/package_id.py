"""Under which package this server registers with its peers. Reads the root certificate's file.

In the package is nothing but the server's address and root certificate, so the server computes the id by itself:
nobody has to carry it from the peer that installed the package to here.
"""

from __future__ import annotations

from chaincode.settings import ChaincodeSettings
from consilo.fabric.package import service_package
from consilo.hosting.start import CannotStart


def package_id_of(settings: ChaincodeSettings) -> str:
    """The package's id, as set or as computed.

    Raises:
        CannotStart: the root certificate cannot be read.
    """
    if settings.package_id is not None:
        return settings.package_id
    label, address, file = settings.package_label, settings.package_address, settings.package_root_certificate_file
    if label is None or address is None or file is None:
        raise CannotStart("the package is known neither by its id nor by what is in it")
    try:
        root_certificate = file.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise CannotStart(f"cannot read the package's root certificate: {error}") from None
    return service_package(label, address, root_certificate).id
