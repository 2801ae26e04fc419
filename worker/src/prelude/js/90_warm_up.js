// Work like that of the first runs, done before the process is forked, so that children find code
// compiled and caches filled. It leaves nothing behind: no timer, no global, no line.

const { ReflectApply, globalThis } = internal.primordials;
const { clearConsoleState, console, describeError, inspect, render, setConsoleMuted, timerIds } =
  internal;
const {
  AbortController, CustomEvent, Event, EventTarget, TextDecoder, TextEncoder, URL, URLSearchParams,
  atob, btoa, clearInterval, clearTimeout, crypto, performance, queueMicrotask, setInterval,
  setTimeout, structuredClone,
} = globalThis;

const ROUNDS = 16;
const RESULT_BYTES_MAX = 1 << 20;

class Shape {
  #sides;
  name = "shape";
  constructor(sides) {
    this.#sides = sides;
  }
  get sides() {
    return this.#sides;
  }
  static of(sides) {
    return new this(sides);
  }
  describe() {
    return `${this.name} of ${this.#sides} sides`;
  }
}
class Square extends Shape {
  constructor() {
    super(4);
  }
  describe() {
    return super.describe().toUpperCase();
  }
}

function* countTo(limit) {
  for (let i = 0; i < limit; i++) yield i;
}

const language = (round) => {
  const rowOf = (_, i) => ({ id: i, name: `n${(i * 7) % 20}`, tags: ["a", i] });
  const rows = Array.from({ length: 20 }, rowOf);
  const [first, ...rest] = rows.map((row) => ({ ...row, total: row.id * round }));
  const { id, name: title = "none" } = first;
  const byName = Object.groupBy?.(rest, ({ name }) => name[0]);
  const even = rest.filter((row) => row.total % 2 === 0);
  const sum = even.reduce((total, row) => total + row.total, 0);
  const sorted = rest.toSorted((a, b) => a.name.localeCompare(b.name) || a.id - b.id);
  const index = new Map(sorted.map((row) => [row.name, row]));
  const ids = new Set(sorted.map((row) => row.id));
  const counted = [...countTo(5)].concat(Object.entries({ a: 1, b: 2 }).flat());
  const capital = (word) => word.replace(/^(\w)/, (_, letter) => letter.toUpperCase());
  const words = "the quick brown fox".split(" ").map(capital);
  const matches = [..."a1b22c333".matchAll(/([a-z])(?<digits>\d+)/g)];
  const matched = matches.map((match) => match.groups.digits);
  const summary = { id, title, sum, byName, words, matched, when: new Date(0) };
  const text = JSON.stringify(summary, null, 2);
  const back = JSON.parse(text);
  const bytes = new Uint8Array(64).fill(round).map((value, i) => value + i);
  let total = 0n;
  for (const value of bytes) total += BigInt(value);
  try {
    null.property;
  } catch (error) {
    back.error = error.message;
  }
  const largest = Math.max(...bytes);
  return [new Square().describe(), index, ids, counted, back, total, largest, Math.random()];
};

const asynchronous = async (round) => {
  const values = await Promise.all([1, Promise.resolve(round), (async () => 3)()]);
  for await (const value of (async function* () { yield* values; })()) if (value < 0) return value;
  await null;
  return values.length;
};

const webInterfaces = (round) => {
  const url = new URL(`https://user@example.com:8080/a/b?x=${round}#top`);
  url.searchParams.append("y z", "1&2");
  const encoded = new TextEncoder().encode(`h\u00e9llo ${url.href}`);
  const decoded = new TextDecoder().decode(encoded);
  const controller = new AbortController();
  controller.signal.addEventListener("abort", () => {}, { once: true });
  controller.abort();
  const target = new EventTarget();
  target.addEventListener("ping", () => {});
  target.dispatchEvent(new Event("ping"));
  target.dispatchEvent(new CustomEvent("ping", { detail: round }));
  queueMicrotask(() => {});
  const timeout = setTimeout(() => {}, 1000, round);
  const interval = setInterval(() => {}, 1000);
  clearTimeout(timeout);
  clearInterval(interval);
  crypto.randomUUID();
  return [
    url, new URLSearchParams({ a: "1" }).toString(), atob(btoa("warm")), decoded, performance.now(),
    structuredClone({ a: [1, new Map([[1, 2]])] }),
  ];
};

const printed = (values) => {
  console.log("%s is %d of %o", "warm", 1, { up: true });
  console.log(values, ...values);
  console.info("text", 1, null, undefined, true, Symbol.iterator, 10n, -0);
  console.warn([1, 2, 3], { a: { b: { c: { d: { e: 1 } } } } }, new Error("warm", { cause: 1 }));
  console.error(new Proxy({}, {}), () => {}, class A {}, /x/g, new Date(0), Promise.resolve(1));
  console.debug(new Uint8Array(4), new ArrayBuffer(4), new WeakMap(), [1, , 3]);
  console.table([{ a: 1, b: 2 }, { a: 3 }]);
  console.dir({ a: 1 });
  console.trace("warm");
  console.assert(false, "warm");
  console.group("warm");
  console.groupEnd();
  console.count("warm-up");
  console.countReset("warm-up");
  console.time("warm-up");
  console.timeEnd("warm-up");
};

const rendered = (values) => {
  const cases = [
    1, -0, "text", true, null, undefined, 1n, Symbol("s"), () => {}, [1, [2]], { a: { b: "c" } },
    new Map([[1, { a: 2 }]]), new Set([1]), new Date(0), new Square(), new Error("warm"), values,
  ];
  for (let i = 0; i < cases.length; i++) {
    render(cases[i], RESULT_BYTES_MAX);
    inspect(cases[i]);
    describeError(cases[i]);
  }
  describeError(new AggregateError([new TypeError("warm")], "warm"));
};

internal.warmUp = () => {
  const lastTimerId = timerIds.get();
  setConsoleMuted(true);
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const values = language(round);
      ReflectApply(asynchronous, undefined, [round]);
      printed(values);
      rendered(webInterfaces(round));
    }
    internal.runTimers();
    internal.nextTimerMs();
    internal.pending();
  } finally {
    setConsoleMuted(false);
    clearConsoleState();
    timerIds.restore(lastTimerId);
    // The expressions above left their marks in `RegExp.$1` and its kin.
    /(?:)/.exec("");
  }
};
