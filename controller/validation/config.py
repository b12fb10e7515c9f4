"""What validation is told at the start: its sources and times (one file: JSON, YAML or TOML)."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec

from controller.validation.acceptance import Shrinkage
from controller.validation.checks import CHECKS, CheckName, Limits
from controller.validation.errors import ConfigurationError

Seconds = Annotated[float, msgspec.Meta(gt=0, le=31_536_000)]
Days = Annotated[float, msgspec.Meta(ge=0, le=3650)]
Asn = Annotated[int, msgspec.Meta(gt=0, lt=2**32)]
Share = Annotated[float, msgspec.Meta(gt=0, le=100)]


class ValidationConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything has a default; without a source no check is ever done.

    Sources: ``rtr`` and ``whois`` are ``HOST:PORT``, ``vrp_json`` a file's path or an ``http(s)`` URL,
    ``dns`` servers' addresses, with ``:PORT`` if it is not 53 (IPv6 in brackets then). Times end in ``_s``
    (seconds) or ``_days``. ``require_validation``: whether checks that are not valid block new announcements;
    null: when there is a source. ``local_as``: the origin of prefixes without an AS of their own.
    ``rtr_expire_s``: a ceiling on the cache's own expire interval.
    """

    rtr: tuple[str, ...] = ()
    vrp_json: tuple[str, ...] = ()
    whois: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    local_as: Asn = 64500
    require_validation: bool | None = None
    interval_s: Seconds = 3600
    retry_s: Seconds = 300
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=256)] = 8
    rtr_timeout_s: Seconds = 30
    rtr_expire_s: Seconds | None = None
    vrp_interval_s: Seconds = 600
    vrp_timeout_s: Seconds = 60
    vrp_expire_s: Seconds = 86_400
    whois_timeout_s: Seconds = 10
    dns_timeout_s: Seconds = 5
    shrink_percent: Share = 20
    shrink_floor: Annotated[int, msgspec.Meta(ge=0)] = 5
    warn_days: tuple[Days, ...] = (30, 7, 1)
    block_days: Days = 30
    valid_for_s: Seconds = 86_400

    @property
    def required(self) -> bool:
        """Whether new announcements need their checks to be valid."""
        if self.require_validation is not None:
            return self.require_validation
        return bool(self.available())

    @property
    def limits(self) -> Limits:
        """What follows from a check's age and end."""
        return Limits(self.warn_days, self.block_days, self.valid_for_s)

    @property
    def shrinkage(self) -> Shrinkage:
        """What a set of VRPs may lose at once."""
        return Shrinkage(self.shrink_percent, self.shrink_floor)

    def available(self) -> tuple[CheckName, ...]:
        """Return the checks that have a source."""
        has = {
            "irr": bool(self.whois),
            "rpki": bool(self.rtr or self.vrp_json),
            "ownership": bool(self.whois or self.dns),
        }
        return tuple(name for name in CHECKS if has[name])


HOST = re.compile(
    r"[0-9A-Fa-f:.%]*:[0-9A-Za-z:.%]*|(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?"
)
"""An IPv6 address, or a name or IPv4 address: labels that no resolver chokes on."""

PORT = re.compile(r"[0-9]{1,5}", re.ASCII)

NO_SOURCE = "no source is configured"
"""Why a check without a source stays pending."""


def endpoint(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` (IPv6 in brackets); raises :class:`ConfigurationError`."""
    host, colon, port = text.rpartition(":")
    if default_port is not None and (not colon or (":" in host and not host.startswith("["))):
        return text.removeprefix("[").removesuffix("]"), default_port
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not HOST.fullmatch(host) or not PORT.fullmatch(port) or not 0 < int(port) < 2**16:
        raise ConfigurationError(f"{text!r} is no HOST:PORT, such as 192.0.2.1:323")
    return host, int(port)


def read_config(path: Path) -> ValidationConfig:
    """Read the file, whose suffix says its format; raises :class:`ConfigurationError` with what is wrong."""
    try:
        body = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the configuration of validation {path}: {error.strerror}"
        ) from error
    try:
        found = msgspec.convert(_parse(path, body), ValidationConfig, strict=True)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{path} is no configuration of validation: {reason}") from error
    for text in (*found.rtr, *found.whois):
        endpoint(text)
    for text in found.dns:
        _address(text)
    for text in (*found.rtr, *found.vrp_json, *found.whois, *found.dns):
        if not text.strip():
            raise ConfigurationError(f"{path}: a source is empty: name it or leave it out")
    if len({*found.rtr, *found.vrp_json, *found.whois, *found.dns}) != sum(
        len(s) for s in (found.rtr, found.vrp_json, found.whois, found.dns)
    ):
        raise ConfigurationError(f"{path}: a source is given twice")
    if found.require_validation and not found.available():
        raise ConfigurationError(f"{path}: require_validation needs a source: nothing could ever be valid")
    return found


def _address(text: str) -> None:
    try:
        ipaddress.ip_address(endpoint(text, 53)[0])
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is no address of a DNS server: give its number") from error


def _parse(path: Path, body: bytes) -> Any:
    match path.suffix.lower():
        case ".json":
            return msgspec.json.decode(body)
        case ".toml":
            return msgspec.toml.decode(body)
        case ".yaml" | ".yml":
            return msgspec.yaml.decode(body)
    raise ConfigurationError(f"{path} ends in none of .json, .yaml, .yml, .toml: name its format so")
