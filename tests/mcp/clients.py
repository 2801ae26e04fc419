"""Runs code through the official Python SDK, in every way that it can connect.

    python3 -m venv venv && venv/bin/pip install -r tests/mcp/requirements.txt
    venv/bin/python tests/mcp/clients.py target/release/mcp-v8

The program is started here: once with two ports, and once as a child that speaks on its standard
streams. Ends with "N passed, N failed" and 1 when anything failed.
"""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import time
import traceback
import uuid

import jsonschema
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.sse import sse_client

TOOLS = [
    "run_js",
    "execution_start",
    "execution_get",
    "execution_output",
    "execution_list",
    "execution_cancel",
    "session_list",
    "session_log",
    "session_diff",
    "session_fork",
    "session_reset",
    "session_delete",
    "task_create",
    "task_get",
    "task_list",
    "task_cancel",
    "tag_put",
    "tag_get",
    "tag_list",
    "tag_delete",
]
ENDLESS = "for (;;) {}"

passed = failed = 0


def check(mode: str, name: str, condition: object, seen: object = "") -> None:
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {mode}: {name}: {seen}")


def text_of(result) -> str:
    return "\n".join(block.text for block in result.content if block.type == "text")


async def tools(mode: str, client: Client) -> dict:
    listed = (await client.list_tools()).tools
    check(mode, "tools", [tool.name for tool in listed] == TOOLS, listed)
    again = (await client.list_tools()).tools
    check(mode, "same tools again", listed == again)
    run_js = listed[0]
    for word in ["last expression", "await", "input", "fetch", "30 seconds", "64 MB"]:
        check(mode, f"description tells of {word}", word in run_js.description, run_js.description)
    check(mode, "annotations", run_js.annotations.open_world_hint is False, run_js.annotations)
    if client.server_info:
        check(mode, "instructions", "run_js" in client.instructions, client.instructions)
    return {tool.name: tool.output_schema for tool in listed}


async def results(mode: str, client: Client, schemas: dict) -> None:
    result = await client.call_tool("run_js", {"code": "1 + 2"})
    body = result.structured_content
    check(mode, "no error", not result.is_error, result)
    check(mode, "result", body["result"] == 3 and body["status"] == "completed", body)
    check(mode, "text", text_of(result) == "Result:\n3", text_of(result))
    jsonschema.validate(body, schemas["run_js"])

    session = {"session": f"{mode} {uuid.uuid4()}"}
    await client.call_tool("run_js", {"code": "let n = 1; n", **session})
    kept = (await client.call_tool("run_js", {"code": "++n", **session})).structured_content
    check(mode, "a session goes on", kept["result"] == 2 and len(kept["heap"]) == 64, kept)
    jsonschema.validate(kept, schemas["run_js"])

    diff = (await client.call_tool("session_diff", session)).structured_content
    told = [(it["name"], it["before"]["text"], it["after"]["text"]) for it in diff["differences"]]
    check(mode, "a diff of a session", told == [("n", "1", "2")], diff)
    jsonschema.validate(diff, schemas["session_diff"])

    made = (await client.call_tool("task_create", {"code": "6 * 7"})).structured_content
    jsonschema.validate(made, schemas["task_create"])
    asked = {"task_id": made["task_id"], "wait_ms": 20000}
    done = (await client.call_tool("task_get", asked)).structured_content
    check(mode, "a task ends", done["status"] == "succeeded" and done["report"]["result"] == 42, done)
    jsonschema.validate(done, schemas["task_get"])

    code = "const x: number = await Promise.resolve(input.b); ({ z: x, a: input })"
    arguments = {"code": code, "language": "typescript", "input": {"b": 2, "a": [1]}}
    body = (await client.call_tool("run_js", arguments)).structured_content
    check(mode, "input and types", body["result"] == {"z": 2, "a": {"b": 2, "a": [1]}}, body)
    check(mode, "order of keys", list(body["result"]["a"]) == ["b", "a"], body)

    result = await client.call_tool("run_js", {"code": "undefined"})
    check(mode, "undefined", "result" not in result.structured_content, result.structured_content)
    check(mode, "undefined as text", text_of(result) == "Result:\nundefined", text_of(result))


async def errors(mode: str, client: Client, schemas: dict) -> None:
    code = "function f(o) {\n  return o.a.b;\n}\nconsole.log('before');\nf({})"
    result = await client.call_tool("run_js", {"code": code})
    body, text = result.structured_content, text_of(result)
    check(mode, "a failing script is an error", result.is_error, result)
    check(mode, "error code", body["error"]["code"] == "script_error", body)
    check(mode, "error line", body["error"]["line"] == 2, body)
    check(mode, "error text", text.startswith("TypeError: ") and "line 2" in text, text)
    check(mode, "error text has the console", "before" in text, text)
    jsonschema.validate(body, schemas["run_js"])

    result = await client.call_tool("run_js", {"code": "let ="})
    body = result.structured_content
    check(mode, "syntax error", result.is_error and body["error"]["code"] == "syntax_error", body)

    result = await client.call_tool("run_js", {"code": ENDLESS, "timeout_ms": 200})
    body, text = result.structured_content, text_of(result)
    check(mode, "deadline", body["status"] == "timed_out", body)
    check(mode, "deadline as text", "timeout" in text and "200" in text, text)
    jsonschema.validate(body, schemas["run_js"])

    code = "let a = []; for (;;) a.push(new Array(1000).fill(Math.random()))"
    body = (await client.call_tool("run_js", {"code": code, "heap_mb": 16})).structured_content
    check(mode, "heap limit", body["error"]["code"] == "heap_limit", body)

    for arguments, word in [
        ({}, "`code` is missing"),
        ({"code": 1}, "`code` must be a string"),
        ({"code": "1", "tiemout": 1}, "no argument `tiemout`"),
        ({"code": "1", "heap_mb": 100000}, "limit_too_large"),
    ]:
        result = await client.call_tool("run_js", arguments)
        text = text_of(result)
        check(mode, f"tool error: {word}", result.is_error and word in text, result)
    result = await client.call_tool("execution_get", {"execution_id": "e7-1-" + "0" * 20})
    check(mode, "unknown execution", "execution_not_found" in text_of(result), result)
    try:
        await client.call_tool("no_such_tool", {})
        check(mode, "unknown tool", False, "no error")
    except MCPError as error:
        check(mode, "unknown tool", error.error.code == -32602, error)


async def console(mode: str, client: Client, heard: list) -> None:
    heard.clear()
    progress = []

    async def on_progress(value: float, total: float | None, message: str | None) -> None:
        progress.append((value, message))

    code = """
        for (let i = 0; i < 4; i++) {
            console.log(`line ${i}`);
            await new Promise((done) => setTimeout(done, 300));
        }
        console.warn("careful");
        console.debug("quiet");
        "end"
    """
    result = await client.call_tool("run_js", {"code": code}, progress_callback=on_progress)
    check(mode, "console", "line 3\n[WARN] careful" in result.structured_content["output"], result)
    check(mode, "console as text", "Console:\nline 0\nline 1" in text_of(result), text_of(result))
    lines = [(level, data) for level, data in heard]
    check(mode, "log messages", ("info", "line 0") in lines and ("warning", "careful") in lines, lines)
    messages = [message for _, message in progress]
    check(mode, "progress messages", any("line" in (m or "") for m in messages), progress)
    values = [value for value, _ in progress]
    check(mode, "progress grows", values == sorted(set(values)) and values, values)


async def long_output(mode: str, client: Client) -> None:
    code = "for (let i = 0; i < 10000; i++) console.log('line number ' + i); 'x'.repeat(50000)"
    result = await client.call_tool("run_js", {"code": code})
    body, text = result.structured_content, text_of(result)
    check(mode, "text is bounded", 10_000 < len(text) < 26_000, len(text))
    check(mode, "text has both ends", "line number 0\n" in text and "line number 9999" in text, text)
    check(mode, "size is told", str(body["output_bytes"]) in text and body["truncated"], text[-300:])
    links = [block for block in result.content if block.type == "resource_link"]
    check(mode, "links", len(links) == 2, result.content[1:])
    whole, uri = "", str(links[0].uri)
    pages = 0
    while uri:
        contents = (await client.read_resource(uri)).contents[0]
        whole += contents.text
        pages += 1
        uri = (contents.meta or {}).get("next")
    expected = "".join(f"line number {i}\n" for i in range(10000))
    check(mode, "the linked output is the whole", whole == expected, (pages, len(whole)))
    execution = json.loads((await client.read_resource(str(links[1].uri))).contents[0].text)
    check(mode, "the linked result is the whole", execution["result"] == "x" * 50000)
    templates = (await client.list_resource_templates()).resource_templates
    uris = [template.uri_template for template in templates]
    check(mode, "templates", "exec://{execution_id}/output{?offset,limit}" in uris, uris)

    execution_id = body["execution_id"]
    arguments = {"execution_id": execution_id, "line_offset": 9999}
    page = await client.call_tool("execution_output", arguments)
    lines = page.structured_content["data"]
    check(mode, "a page by lines", lines == "line number 9998\nline number 9999\n", lines)
    check(mode, "a page tells where it is", "lines 9999-10000 of 10000" in text_of(page), text_of(page))
    try:
        await client.read_resource("exec://e7-1-" + "0" * 20 + "/output")
        check(mode, "unknown resource", False, "no error")
    except MCPError as error:
        check(mode, "unknown resource", error.error.code in (-32602, -32002), error)


async def background(mode: str, client: Client) -> None:
    started = await client.call_tool("execution_start", {"code": "console.log('on'); " + ENDLESS})
    body = started.structured_content
    execution = {"execution_id": body["execution_id"]}
    check(mode, "started", body["status"] in ("queued", "running"), body)
    began = time.monotonic()
    got = await client.call_tool("execution_get", execution | {"wait_ms": 300})
    check(mode, "still running", got.structured_content["status"] == "running", got)
    check(mode, "waited", 0.25 < time.monotonic() - began < 3, time.monotonic() - began)
    page = await client.call_tool("execution_output", execution)
    check(mode, "output while it runs", page.structured_content["data"] == "on\n", page)
    began = time.monotonic()
    stopped = (await client.call_tool("execution_cancel", execution)).structured_content
    check(mode, "stopped", stopped["status"] == "cancelled", stopped)
    check(mode, "stopped at once", time.monotonic() - began < 1, time.monotonic() - began)
    listed = await client.call_tool("execution_list", {"status": "cancelled", "limit": 5})
    ids = [one["execution_id"] for one in listed.structured_content["executions"]]
    check(mode, "listed", execution["execution_id"] in ids, ids)

    early = await client.call_tool("run_js", {"code": ENDLESS, "timeout_ms": 60000, "wait_ms": 100})
    body = early.structured_content
    check(mode, "run_js returns early", not early.is_error and body["status"] == "running", body)
    await client.call_tool("execution_cancel", {"execution_id": body["execution_id"]})

    keyed = {"code": "Math.random()", "idempotency_key": f"{mode}-{time.time_ns()}"}
    first = (await client.call_tool("run_js", keyed)).structured_content
    again = (await client.call_tool("run_js", keyed)).structured_content
    check(mode, "a repeated call gives the same", first == again, (first, again))


async def tags(mode: str, client: Client, schemas: dict) -> None:
    """What one client writes, others read; of two that have read the same, one succeeds."""
    name = f"clients/{mode}-{time.time_ns()}"
    value = {"step": 3, "of": [1, None, "\u00fc"]}
    put = (await client.call_tool("tag_put", {"name": name, "value": value, "if_version": 0})).structured_content
    got = (await client.call_tool("tag_get", {"name": name})).structured_content
    jsonschema.validate(got, schemas["tag_get"])
    check(mode, "a tag is read as written", got["value"] == value, got)
    check(mode, "with its version", got["version"] == put["version"], (got, put))
    late = await client.call_tool("tag_put", {"name": name, "value": 1, "if_version": 0})
    check(mode, "a late write is refused", late.is_error and "version_mismatch" in text_of(late), late)
    listed = (await client.call_tool("tag_list", {"prefix": name})).structured_content
    jsonschema.validate(listed, schemas["tag_list"])
    check(mode, "tags are listed", [tag["name"] for tag in listed["tags"]] == [name], listed)
    run = await client.call_tool("run_js", {"code": "let n = 1; n", "session": name})
    heap = run.structured_content["heap"]
    await client.call_tool("tag_put", {"name": f"{name}/heap", "heap": heap})
    found = (await client.call_tool("tag_list", {"heap": heap})).structured_content
    names = [(tag["name"], tag["heap"], tag["value"]) for tag in found["tags"]]
    check(mode, "a tag points at a heap", names == [(f"{name}/heap", heap, None)], found)
    nothing = await client.call_tool("tag_put", {"name": name})
    check(mode, "a tag needs a value or a heap", nothing.is_error and "heap" in text_of(nothing), nothing)
    await client.call_tool("tag_delete", {"name": f"{name}/heap"})
    gone = (await client.call_tool("tag_delete", {"name": name})).structured_content
    check(mode, "a tag is removed", gone["version"] == put["version"], gone)
    missing = await client.call_tool("tag_get", {"name": name})
    check(mode, "and then it is gone", missing.is_error and "tag_not_found" in text_of(missing), missing)


async def giving_up(mode: str, client: Client) -> None:
    """A call that its client drops stops its run; the list tells it, found by a mark in its output."""
    mark = f"giving up {mode} {time.time_ns()}"
    code = f"console.log({mark!r}); {ENDLESS}"
    with contextlib.suppress(MCPError, TimeoutError):
        arguments = {"code": code, "timeout_ms": 60000}
        await client.call_tool("run_js", arguments, read_timeout_seconds=0.5)
        check(mode, "the client's own deadline", False, "it waited")
    stopped = None
    for _ in range(50):
        listed = await client.call_tool("execution_list", {"limit": 5})
        for one in listed.structured_content["executions"]:
            page = await client.call_tool("execution_output", {"execution_id": one["execution_id"]})
            if mark in page.structured_content["data"]:
                stopped = one["status"]
        if stopped == "cancelled":
            break
        await asyncio.sleep(0.1)
    check(mode, "a dropped call stops its run", stopped == "cancelled", stopped)


async def everything(way: str, server, version: str, **options) -> None:
    heard = []

    async def on_log(params) -> None:
        heard.append((params.level, params.data))

    try:
        async with asyncio.timeout(90):
            async with Client(server, logging_callback=on_log, **options) as client:
                check(way, "version", client.protocol_version == version, client.protocol_version)
                # A client that is told its version asks nothing about the server.
                name = client.server_info.name if client.server_info else None
                pinned = options["mode"] == version
                check(way, "server", name == (None if pinned else "mcp-v8"), name)
                schemas = await tools(way, client)
                await results(way, client, schemas)
                await errors(way, client, schemas)
                await tags(way, client, schemas)
                await console(way, client, heard)
                await long_output(way, client)
                await background(way, client)
                await giving_up(way, client)
    except BaseException:
        check(way, "the whole conversation", False, traceback.format_exc())


async def main(program: str) -> None:
    node = subprocess.Popen(
        [program, "--http-port", "0", "--sse-port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        address = {}
        for line in node.stdout:
            if found := re.match(r"(\w+): listening on (http://\S+)", line):
                address[found[1]] = found[2]
            if len(address) == 2:
                break
        http, sse = address["http"] + "/mcp", address["sse"] + "/sse"
        newest, older = "2026-07-28", "2025-11-25"
        await everything("modern", http, newest, mode=newest, log_level="info")
        await everything("auto", http, newest, mode="auto", log_level="info")
        await everything("legacy", http, older, mode="legacy")
        await everything("sse", sse_client(sse), older, mode="legacy")
        stdio = StdioServerParameters(command=program, args=[])
        await everything("stdio", stdio, newest, mode="auto", log_level="info")
        await everything("stdio, legacy", stdio, older, mode="legacy")
    finally:
        node.terminate()
        node.wait(30)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
