"""No document about a person is forgotten when the person's data are exported or erased."""

from __future__ import annotations

import models

# Fields that hold the id of a user, whatever they are called.
_OWNERS = {"user_id", "created_by", "viewer_id", "account_id", "owner_id", "actor_id", "actor"}


def test_every_document_that_names_a_user_is_on_the_list() -> None:
    # given the list of personal data, when each stored document is looked at
    listed = {(each.document, each.owner) for each in models.PERSONAL_DATA}
    missing = [
        f"{document.__name__}.{name}"
        for document in models.DOCUMENTS
        for name in sorted(_OWNERS & document.model_fields.keys())
        if (document, name) not in listed
    ]
    # then each that names a user is on it
    assert missing == []


def test_hashes_and_secrets_are_left_out_of_exports() -> None:
    words = ("hash", "secret", "sealed", "registration")
    shown = [
        f"{each.name}.{name}"
        for each in models.PERSONAL_DATA
        for name in each.document.model_fields
        if any(word in name for word in words) and name not in each.secrets
    ]
    assert shown == []


def test_what_outlives_an_account_says_why() -> None:
    # given what is not erased but disowned or kept, then there is a reason
    assert [
        each.name for each in models.PERSONAL_DATA if each.disowned and not each.retention_reason
    ] == []
    assert models.PERSONAL_DATA[-1].document is models.User  # last: erasing begins again from it
