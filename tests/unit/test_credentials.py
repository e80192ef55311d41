"""Keys from the files of the AWS console: every form that it has had, nothing else, and never a key in a message."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import credentials, s3
from neurocwl.errors import BadInput
from toolwrappers.nipype_s3 import credentials as parser

KEY, SECRET = "ABCDEFGHIJKLMNOP", "zyx123wvu456/ABC890+gHiJk"
FORMS = {
    "root": f"AWSAccessKeyID={KEY}\nAWSSecretKey={SECRET}\n",
    "root as AWS spells it": f"AWSAccessKeyId={KEY}\nAWSSecretKey={SECRET}\n",
    "IAM user": f'User Name,Access Key Id,Secret Access Key\n"username",{KEY},{SECRET}\n',
    "IAM user with a password": f"User Name,Password,Access key ID,Secret access key,Console login link\nu,,{KEY},{SECRET},https://x\n",
    "console today": f"Access key ID,Secret access key\n{KEY},{SECRET}\n",
    "quoted": f'"Access key ID","Secret access key"\n"{KEY}","{SECRET}"\n',
    "a comma in the name": f'User name,Access key ID,Secret access key\n"Doe, Jane",{KEY},{SECRET}\n',
}


def written(folder: Path, content: bytes) -> Path:
    file = folder / "keys.csv"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_form_is_read(tmp_path: Path, text: str, ends: str, encoding: str) -> None:
    file = written(tmp_path, text.replace("\n", ends).encode(encoding))
    assert credentials.read(file) == credentials.Keys(KEY, SECRET)


secrets = st.text(
    alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='",'), min_size=1
)


@given(secrets)
def test_every_letter_of_a_secret_counts(secret: str) -> None:
    forms = (
        f"AWSAccessKeyId={KEY}\r\nAWSSecretKey={secret}",
        f"Access key ID,Secret access key\n{KEY},{secret}\n",
    )
    for text in forms:
        assert parser.parse(text.encode()) == parser.Keys(KEY, secret)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"hello\n", "it has no access key id"),
        (f"AWSAccessKeyId={KEY}\n".encode(), "it has no secret key"),
        (f"Access key ID,Secret access key\n{KEY},{SECRET}\nOTHER,{SECRET}\n".encode(), "it has 2 users"),
        (b"Access key ID,Secret access key\n", "it has 0 users"),
        (f"Access key ID,Secret access key\n{KEY},{SECRET} x\n".encode(), "its secret key has letters"),
        (b"\x89PNG\r\n\x1a\n" + SECRET.encode(), "it is no text"),
        (f"[default]\naws_access_key_id = {KEY}\n".encode(), "it has no secret key"),
    ],
)
def test_what_is_no_credentials_file_is_refused_without_showing_it(
    tmp_path: Path, content: bytes, why: str
) -> None:
    with pytest.raises(BadInput, match=why) as refused:
        credentials.read(written(tmp_path, content))
    assert "keys.csv" in str(refused.value)
    assert KEY not in str(refused.value)
    assert SECRET not in str(refused.value)


@given(st.binary(max_size=200))
def test_whatever_the_bytes_they_are_keys_or_refused(content: bytes) -> None:
    try:
        found = parser.parse(content)
    except ValueError as error:
        assert "it" in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert found.key_id
        assert found.secret


def test_a_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.csv: there is no such file"):
        credentials.read(tmp_path / "none.csv")


def test_keys_do_not_show_when_they_are_printed() -> None:
    access = s3.Access(keys=credentials.Keys(KEY, SECRET))
    assert KEY not in repr(access)
    assert SECRET not in f"{access}{parser.Keys(KEY, SECRET)}"


def test_steps_get_the_files_keys_and_no_token_of_the_callers() -> None:
    environment = s3.Access(keys=credentials.Keys(KEY, SECRET)).environment()
    assert environment["AWS_ACCESS_KEY_ID"] == KEY
    assert environment["AWS_SECRET_ACCESS_KEY"] == SECRET
    assert environment["AWS_SESSION_TOKEN"] == ""


def test_the_client_signs_with_the_files_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    client = s3.client(s3.Access(keys=credentials.Keys(KEY, SECRET), region="us-east-1"))
    assert f"{KEY}/" in client.generate_presigned_url(
        "get_object", Params={"Bucket": "b-b", "Key": "k"}
    ).replace("%2F", "/")
    client.close()
