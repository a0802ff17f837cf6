"""Secrets in memory, for tests of what is made of them."""

from __future__ import annotations

from services.setup.secrets import Content, SecretsUnavailable


class MemorySecrets:
    """`Secrets` that are kept in this object.

    Attributes:
        kept: name -> content.
        creations_left: how many may be made before the cluster is gone; None: any number.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Content] = {}
        self.creations_left: int | None = None

    def read(self, name: str) -> Content | None:
        return self.kept.get(name)

    def create(self, name: str, content: Content) -> bool:
        if name in self.kept:
            return False
        if self.creations_left == 0:
            raise SecretsUnavailable("the API server does not answer")
        if self.creations_left is not None:
            self.creations_left -= 1
        self.kept[name] = dict(content)
        return True
