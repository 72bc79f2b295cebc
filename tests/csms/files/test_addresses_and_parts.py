"""The pure side of files: addresses, names, parts of files, and forms with a file in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.files.address import TOKEN_LENGTH, address, asked, clean_name
from csms.files.byte_ranges import RangeInvalid, Sent, Span, sent_part, wanted_span
from csms.files.multipart import FileInForm, MultipartInvalid, boundary_of
from csms.protocol.redaction import REDACTED, redacted, without_credentials

TOKEN = "A" * (TOKEN_LENGTH - 1) + "_"
TEXT = st.text(max_size=200)


def form(content: bytes, *, name: str | None = "cp.log", before: bytes = b"") -> bytes:
    filename = b"" if name is None else f'; filename="{name}"'.encode()
    return (
        before
        + b'--XX\r\nContent-Disposition: form-data; name="kind"\r\n\r\ndiagnostics\r\n'
        + b'--XX\r\nContent-Disposition: form-data; name="file"'
        + filename
        + b"\r\nContent-Type: text/plain\r\n\r\n"
        + content
        + b"\r\n--XX--\r\n"
    )


@given(TEXT)
def test_a_name_is_safe_wherever_it_is_written(raw: str) -> None:
    name = clean_name(raw)

    assert name == clean_name(name)
    assert 1 <= len(name) <= 100
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    assert not name.startswith(".")


def test_a_name_is_the_last_part_of_what_was_said() -> None:
    said = {
        "../../etc/passwd": "passwd",
        "C:\\logs\\cp 1.log": "cp_1.log",
        "%2e%2e%2fboot": "boot",
        "..": "file",
        "": "file",
        "a" * 200 + ".tar.gz": "a" * 80 + "a" * 13 + ".tar.gz",
    }

    assert {raw: clean_name(raw) for raw in said} == said


@pytest.mark.parametrize("base", ["https://files.example:9444", "https://files.example/csms/", "http://[::1]:9444"])
def test_an_address_leads_back_to_its_token(base: str) -> None:
    download, upload = address(base, TOKEN, "pump-2.1.bin"), address(base, TOKEN)

    found = asked("/" + download.split("/", 3)[3])
    assert found is not None
    assert (found.token, found.name) == (TOKEN, "pump-2.1.bin")
    for path, name in {"": None, "cp-1.log": "cp-1.log", "a/b/../c.log": "c.log"}.items():
        found = asked("/" + upload.split("/", 3)[3] + path)
        assert found is not None
        assert (found.token, found.name) == (TOKEN, name)


@pytest.mark.parametrize("path", ["/", "/files/", "/files/short", f"/other/{TOKEN}", f"/files/{TOKEN}x", "/metrics"])
def test_other_paths_lead_nowhere(path: str) -> None:
    assert asked(path) is None


def test_the_token_is_a_secret_wherever_addresses_are_kept() -> None:
    url = address("https://files.example:9444", TOKEN, "pump-2.1.bin")
    escaped = url.replace("/", "\\/")
    frames = [
        f'[2,"1","UpdateFirmware",{{"location":"{url}"}}]',
        f'[2,"1","UpdateFirmware",{{"location":"{escaped}"}}]',
        f'[2,"1","SecurityEventNotification",{{"techInfo":"GET /files/{TOKEN}/x failed"}}]',
    ]

    assert without_credentials(url) == f"https://files.example:9444/files/{REDACTED}/pump-2.1.bin"
    for frame in frames:
        assert TOKEN not in redacted(frame)
        assert REDACTED in redacted(frame)


def test_what_a_range_asks_for() -> None:
    whole = Span(0, 100)
    asked_for = {
        None: whole,
        "bytes=0-9": Span(0, 10),
        "bytes=40-": Span(40, 100),
        "bytes=-10": Span(90, 100),
        "bytes=-1000": whole,
        "bytes=90-1000": Span(90, 100),
        "Bytes = 5 - 6": Span(5, 7),
        "bytes=100-": None,
        "bytes=-0": None,
        "bytes=9-5": whole,
        "bytes=0-1,5-6": whole,
        "lines=1-2": whole,
        "bytes=-": whole,
        "bytes=" + "9" * 40 + "-": whole,
    }

    assert {header: wanted_span(header, 100) for header in asked_for} == asked_for


@given(st.text(max_size=40), st.integers(1, 10_000))
def test_whatever_a_range_says_the_part_lies_in_the_file(header: str, size: int) -> None:
    for each in (header, f"bytes={header}"):
        span = wanted_span(each, size)
        assert span is None or 0 <= span.first < span.end <= size


def test_what_a_content_range_says() -> None:
    assert sent_part("bytes 0-9/100") == Sent(Span(0, 10), 100)
    assert sent_part("bytes 10-99/*") == Sent(Span(10, 100), None)
    assert sent_part("bytes */100") == Sent(None, 100)
    for wrong in ("bytes 5-4/100", "bytes 0-100/100", "0-9/100", "bytes", "bytes 0-9", ""):
        with pytest.raises(RangeInvalid):
            sent_part(wrong)


@given(st.binary(max_size=3000), st.integers(1, 400), st.booleans())
def test_the_file_in_a_form_comes_out_as_it_went_in_however_it_is_cut(
    content: bytes, step: int, preamble: bool
) -> None:
    content = content.replace(b"\r\n--XX", b"")  # a sender takes a boundary that is not in the file
    body = form(content, before=b"to be passed over\r\n" if preamble else b"")
    reader = FileInForm(b"XX")
    came = b"".join(reader.feed(body[at : at + step]) for at in range(0, len(body), step))
    reader.finish()

    assert came == content
    assert reader.name == "cp.log"


@pytest.mark.parametrize(
    "body",
    [
        form(b"", name=None),
        b"--XX--\r\n",
        b"no form at all",
        form(b"content")[:-10],
        b"--XX\r\n" + b"X-Long: " + b"a" * 20_000 + b"\r\n\r\n",
        b"a" * 100_000,
        b"--XXnot-a-boundary\r\n\r\n",
        form(b"content", before=b"--XX\r\n\r\n\r\n" * 100),
        form(b"content", before=(b"--XX\r\nX: " + b"a" * 7000 + b"\r\n\r\n\r\n") * 10),
    ],
)
def test_a_form_without_a_whole_file_is_told_so(body: bytes) -> None:
    def read() -> None:
        reader = FileInForm(b"XX")
        reader.feed(body)
        reader.finish()

    with pytest.raises(MultipartInvalid):
        read()


def test_only_forms_have_a_boundary() -> None:
    assert boundary_of('multipart/form-data; boundary="a b"') == b"a b"
    assert boundary_of("Multipart/Form-Data; charset=x; boundary=XX; more") == b"XX"
    assert boundary_of("multipart/form-data") is None
    assert boundary_of("application/octet-stream; boundary=XX") is None
