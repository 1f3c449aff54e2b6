"""S04: who a certificate names."""

import pytest

from decreed.registry.errors import Refused
from decreed.registry.identity import ANONYMOUS, Identity
from decreed.registry.tls.subject import Certificate, subject_of


def certificate(*uris: str, common_name: str = "alice") -> Certificate:
    subject = ((("commonName", common_name),),)
    names = (("DNS", "n1"), *(("URI", uri) for uri in uris))
    return {"subject": subject, "subjectAltName": names}


def test_one_uri_names_a_node_or_a_client() -> None:
    node = subject_of(certificate("spiffe://x/y", "decreed://prod/node/n1"), "prod")
    client = subject_of(certificate("decreed://prod/client/alice@example.org"), "prod")
    assert (str(node.identity), str(client.identity)) == ("node/n1", "client/alice@example.org")
    assert client.identity == Identity("client", "alice@example.org")
    assert str(ANONYMOUS) == "anonymous"


def test_a_name_in_the_subject_is_never_read() -> None:
    with pytest.raises(Refused, match="names nobody"):
        subject_of(certificate(common_name="decreed://prod/node/n1"), "prod")


@pytest.mark.parametrize(
    "uris",
    [
        ("decreed://prod/node/n1", "decreed://prod/client/alice"),
        ("decreed://prod/node/n1", "decreed://prod/node/n1"),
        ("decreed://prod/node/n1", "DECREED://other/node/n1"),
        ("decreed://prod/node/",),
        ("decreed://prod/node/n1/x",),
        ("decreed://prod/node/n1\n",),
        ("decreed://prod/node/n%31",),
        ("decreed://prod/admin/n1",),
        ("DECREED://prod/node/n1",),
        ("decreed:prod/node/n1",),
        ("decreed:///node/n1",),
        ("decreed://prod/node/" + "n" * 129,),
        ("decreed://prod/ca",),
    ],
)
def test_two_uris_or_a_malformed_one_name_nobody(uris: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="URI"):
        subject_of(certificate(*uris), "prod")


def test_another_cluster_is_refused() -> None:
    for cluster in ("pro", "prod2", "prod/node", "PROD"):
        with pytest.raises(Refused, match="of cluster"):
            subject_of(certificate("decreed://prod/node/n1"), cluster)
    with pytest.raises(Refused, match="is not decreed://CLUSTER/node/NAME"):
        subject_of(certificate("decreed://a/b/node/n1"), "a/b")
