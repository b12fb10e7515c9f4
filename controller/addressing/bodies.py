"""What requests carry and answers show; strict: no unknown field, no conversion of types."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
Cidr = Annotated[
    str,
    StringConstraints(min_length=1, max_length=60),
    Field(json_schema_extra={"format": "cidr", "examples": ["192.0.2.0/24", "2001:db8:1000::/48"]}),
]


class Request(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid", strict=True)


class CreatePrefix(Request):
    """``asn`` null: the operator's own AS is the origin."""

    asn: int | None
    cidr: Cidr
    description: Text = ""
    loa_document_id: Id | None = None
    delegate_loa_creation: bool = False


class EditPrefix(Request):
    """Only the description can be changed."""

    description: Text


class CreateBgpPrefix(Request):
    """A part of the prefix that is to be advertisable on its own."""

    cidr: Cidr


class EditOnDemand(Request):
    """The wanted advertisement."""

    advertised: bool


class EditBgpPrefix(Request):
    """At least one field."""

    on_demand: EditOnDemand | None = None
    asn_prepend_count: Annotated[int, Field(ge=0, le=3)] | None = None
    auto_advertise_withdraw: bool | None = None


class EditStatus(Request):
    """The deprecated form of ``on_demand``."""

    advertised: bool


class CreateBinding(Request):
    """``service_id`` from the list of services."""

    cidr: Cidr
    service_id: Annotated[str, StringConstraints(min_length=1, max_length=32)]


class CreateAccount(Request):
    """``id`` is made up when it is left out."""

    name: Name
    id: Id | None = None


class CreateService(Request):
    """A service that may be bound to addresses."""

    id: Id
    name: Name


class PutAdvertisement(Request):
    """Both are needed: leaving ``sites`` out must not widen an advertisement by accident."""

    advertised: bool
    sites: Annotated[list[str], Field(max_length=10_000)] | None


class PutPartAdvertisement(PutAdvertisement):
    """``cidr``: the part of the prefix that it is about."""

    cidr: Cidr


# -- answers ------------------------------------------------------------------------------------------


class PrefixBody(BaseModel):
    """An onboarded prefix, and beside it what is wanted, what is to be, and what is."""

    id: str
    account_id: str
    cidr: str
    asn: int | None
    description: str
    approved: Literal["P", "V"]
    advertised: bool
    advertised_modified_at: str | None
    on_demand_enabled: bool
    on_demand_locked: bool
    loa_document_id: str | None
    delegate_loa_creation: bool
    irr_validation_state: str
    rpki_validation_state: str
    ownership_validation_state: str
    ownership_validation_token: str
    created_at: str
    modified_at: str
    configured: dict[str, Any]
    operational: dict[str, Any]
    observed: dict[str, Any]


class OnDemandBody(BaseModel):
    """The advertisement as it is wanted."""

    advertised: bool
    advertised_modified_at: str | None
    on_demand_enabled: bool
    on_demand_locked: bool


class BgpSignalBody(BaseModel):
    """BGP Control, which this version does not have."""

    enabled: bool
    modified_at: str | None


class BgpPrefixBody(BaseModel):
    """An advertisable part of a prefix."""

    id: str
    cidr: str
    asn: int | None
    asn_prepend_count: int
    auto_advertise_withdraw: bool
    bgp_signal_opts: BgpSignalBody
    on_demand: OnDemandBody
    created_at: str
    modified_at: str
    configured: dict[str, Any]
    operational: dict[str, Any]
    observed: dict[str, Any]


class StatusBody(BaseModel):
    """The deprecated form of ``on_demand``."""

    advertised: bool
    advertised_modified_at: str | None


class ProvisioningBody(BaseModel):
    """How far a binding is."""

    state: Literal["provisioning", "active"]


class BindingBody(BaseModel):
    """A part of a prefix that a service serves."""

    id: str
    cidr: str
    service_id: str
    service_name: str
    provisioning: ProvisioningBody


class NamedBody(BaseModel):
    """A service."""

    id: str
    name: str


T = TypeVar("T")


class Envelope(BaseModel, Generic[T]):
    """The envelope around one object."""

    success: bool
    errors: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    result: T


class Listing(Envelope[list[T]], Generic[T]):
    """The envelope around a whole list."""

    result_info: dict[str, int]


class Bare(BaseModel):
    """The envelope of a delete."""

    success: bool
    errors: list[dict[str, Any]]
    messages: list[dict[str, Any]]
