//! Random programs for sessions: one opening run, then runs of many kinds.

/// A small generator of random numbers; a seed gives the same program everywhere.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        // splitmix64, by Guy Steele, Doug Lea and Christine Flood (2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// What a session begins with: one thing of each kind that can be kept.
pub const OPENING: &str = r#"
var S = { n: 0, log: [], q: [], k: {}, dead: 0 };
class Account { #v = 0; static made = 0; constructor() { Account.made++ } add(x) { this.#v += x; return this.#v } }
S.account = new Account();
S.fib = (function* () { let a = 0, b = 1; for (;;) { [a, b] = [b, (a + b) % 1000003]; yield a } })();
S.map = new Map(); S.weak = new WeakMap([[S.k, 'weak']]);
S.number = new Intl.NumberFormat('de'); S.collator = new Intl.Collator('sv');
S.date = new Intl.DateTimeFormat('en', { timeZone: 'Asia/Tokyo', dateStyle: 'long' });
S.segmenter = new Intl.Segmenter('en', { granularity: 'word' });
const module_of = (...bytes) => new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, ...bytes]))).exports;
S.wasm = module_of(1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11);
S.structs = module_of(1, 17, 3, 95, 1, 127, 1, 96, 1, 127, 1, 100, 0, 96, 1, 100, 0, 1, 127, 3, 3, 2, 1, 2, 7, 9, 2, 1, 110, 0, 0, 1, 103, 0, 1, 10, 18, 2, 7, 0, 32, 0, 251, 0, 0, 11, 8, 0, 32, 0, 251, 2, 0, 0, 11);
S.thrower = module_of(1, 5, 1, 96, 1, 127, 0, 3, 2, 1, 0, 13, 3, 1, 0, 0, 7, 9, 2, 1, 116, 0, 0, 1, 101, 4, 0, 10, 8, 1, 6, 0, 32, 0, 8, 0, 11);
S.struct = S.structs.n(7);
S.table = new WebAssembly.Table({ initial: 2, element: 'anyfunc' }); S.table.set(0, S.wasm.add);
S.memory = new WebAssembly.Memory({ initial: 1, maximum: 64 });
S.resizable = new ArrayBuffer(1024, { maxByteLength: 1 << 20 }); S.shared = new SharedArrayBuffer(64);
S.proxy = new Proxy({}, { get: (t, k) => k in t ? t[k] : String(k) + '!' });
S.symbol = Symbol('s'); S.re = /(\w+)@(\w+)/g; S.big = 2n ** 200n;
S.loop = (async () => { for (let i = 0; ; i++) { await new Promise(r => S.go = r); S.q.push(i) } })();
S.stream = (async function* () { for (let i = 0; ; i++) yield i * i })();
S.depth = s => s.length ? 1 + S.depth(s.slice(1)) : 0;
S.registry = new FinalizationRegistry(() => S.dead++); S.refs = [];
S.hot = n => { let s = 0; for (let i = 0; i < n; i++) s = (s * 31 + i) | 0; return s };
S.shape = (o, n) => { let s = 0; for (let i = 0; i < n; i++) s += o.x; return s };
S.rope = 'r'; S.wide = {};
'open'"#;

/// The kinds of run. `#` stands for a random number below 1,000.
pub const KINDS: &[&str] = &[
    "S.n += 1",
    "S.account.add(Math.random() * 100 | 0)",
    "[S.fib.next().value, S.fib.next().value].join()",
    "S.map.set('k' + # % 50, { a: Math.random(), b: [1, 2, 3].map(() => Math.random()) }); S.map.size",
    "S.number.format(Math.random() * 1e6) + S.date.format(new Date(# * 1e9))",
    "['z', 'ä', 'a'].sort(S.collator.compare).join('')",
    "S.wasm.add(#, 5)",
    "{ if (S.memory.buffer.byteLength < 30 * 65536) S.memory.grow(1); const u = new Uint32Array(S.memory.buffer); u[#] = Math.random() * 1e9; u.reduce((a, b) => (a * 31 + b) | 0, 0) }",
    "{ if (S.resizable.byteLength < 500000) S.resizable.resize(S.resizable.byteLength + 1000); new Uint8Array(S.resizable)[5]++; S.resizable.byteLength }",
    "{ const size = S.resizable.byteLength; new Uint8Array(S.resizable).fill(7); S.resizable.resize(0); S.resizable.resize(size); new Uint8Array(S.resizable).reduce((a, b) => a + b, 0) }",
    "new Uint8Array(S.resizable).reduce((a, b) => a + b, 0)",
    "new Int32Array(S.shared)[3] += 7",
    "S.proxy.foo + S.proxy[S.symbol.description]",
    "'a@b c@d'.replace(S.re, (m, x, y) => y + x)",
    "(S.big = S.big * 3n + 1n).toString(36).slice(-10)",
    "S.go(); S.q.length",
    "S.go(); await null; S.q.join()",
    "(await S.stream.next()).value",
    "S.depth('abcdefghij'.repeat(# % 50))",
    "S.hot(1e6 + # % 10)",
    "JSON.stringify([...S.map]).length",
    "[5, 1, 4].sort((a, b) => Math.random() - .5).join()",
    "try { null.x } catch (e) { S.log.push(e.stack.length); S.log.length }",
    "{ let s = ''; for (let i = 0; i < 20000; i++) s += String.fromCharCode(97 + i % 26); S.str = (S.str ?? '') + s.slice(0, 500); S.str.length }",
    "S.o = Object.fromEntries(Object.entries(S.o ?? {}).concat([['p' + Object.keys(S.o ?? {}).length, Math.random()]])); Object.keys(S.o).length",
    "new Function('a', 'return a * #')(3)",
    "S.f = (f => () => f() + 1)(S.f ?? (() => 0)); S.f()",
    "S.weak.get(S.k)",
    "(S.u8 = new Uint8Array(3e5).fill(#)).reduce((a, b) => a + b, 0)",
    "[...'héllo wörld'.normalize('NFD')].length",
    "Reflect.ownKeys(S).length",
    "S.d = (S.d ?? 0) + 0.1",
    "(function f(n) { return n ? f(n - 1) + 1 : 0 })(2000)",
    "try { (function f() { f() })() } catch (e) { e.name }",
    "eval('let q = # % 9; q * 2')",
    "S.set = new Set([...(S.set ?? []), # % 30]); [...S.set].join()",
    "new Account().add(1) + Account.made",
    "delete S.str; typeof S.str",
    "Array.from({ length: 3000 }, () => Math.random()).sort().slice(0, 2).join()",
    // Beyond the usual.
    "Temporal.PlainDate.from('2026-01-31').add({ months: 1, days: # }).toString()",
    "Date.now() + ' ' + new Date().toISOString() + ' ' + performance.now()",
    "{ S.refs.push(new WeakRef({ i: # })); S.registry.register({ big: new Array(100).fill(#) }, 1); S.refs.length }",
    "[...S.segmenter.segment('The quick brown fox # jumps.')].filter(s => s.isWordLike).length",
    "{ const t = new Int32Array(S.shared); const w = Atomics.waitAsync(t, 8, 0, 5); const r = await w.value; r }",
    "{ const t = new Int32Array(S.shared); const w = Atomics.waitAsync(t, 8, 0); Atomics.notify(t, 8); await w.value }",
    "S.table.grow(1); S.table.set(S.table.length - 1, S.wasm.add); S.table.get(S.table.length - 1)(2, #) + S.table.length",
    "S.struct = S.structs.n(S.structs.g(S.struct) + 1); S.structs.g(S.struct)",
    "try { S.thrower.t(#) } catch (e) { e.getArg(S.thrower.e, 0) }",
    "[S.shape({ x: 1 }, 20000), S.shape({ y: 2, x: 1.5 }, 20000), S.shape({ x: '', z: # }, 10).length].join()",
    "{ for (let i = 0; i < 300; i++) S.rope = S.rope.length > 1e5 ? 'r' : S.rope + S.rope.length + #; S.rope.length }",
    "{ const old = Error.prepareStackTrace; Error.prepareStackTrace = (e, frames) => frames.length; const n = new Error('x').stack; Error.prepareStackTrace = old; n }",
    "let again = (typeof again === 'undefined' ? 0 : #); again",
    "class Again { static at = # } ; Again.at",
    "await new Promise(r => S.later = r); 'never at first'",
    "S.later ? (S.later(#), await null, 'settled') : 'none'",
    "setTimeout(() => S.n += #, 1); 'later'",
    "await new Promise(r => setTimeout(r, 3)); S.n",
    "queueMicrotask(() => S.n++); S.n",
    "console.log('line', #, S.n); console.error('other'); S.n",
    "structuredClone(new Map([[1, { a: new Date(#) }]])).get(1).a.getTime()",
    "throw new TypeError('thrown ' + #)",
    "Promise.reject(new RangeError('rejected')); 1",
    "S.iterator = (S.iterator ?? [1, 2, 3, 4].values().map(x => x * 2)); S.iterator.next().done",
    "outer: for (let i = 0; ; i++) for (let j = 0; ; j++) { if (i * j > # ) break outer; if (j > 30) continue outer }",
    "((s, ...v) => s.raw.join('|') + v.join())`a${#}b\\n${S.n}c`",
    "S.proto = Object.create(S.proto ?? { deep: 1 }); S.proto.own = #; S.proto.deep",
    "Object.defineProperty(S, 'getter', { get() { return S.n * 2 }, configurable: true }); S.getter",
    "crypto.subtle ? 'subtle' : typeof crypto.randomUUID",
    "new TextDecoder().decode(new TextEncoder().encode('añb€'.repeat(# % 20 + 1))).length",
    "btoa(String.fromCharCode(...new Uint8Array(S.resizable.slice(0, 90)))).length",
    "new Uint8Array(300).fill(#).toBase64().length + Uint8Array.fromBase64('AAEC').length",
    "'x'.padStart(#, 'ab').match(/(a+b)+x?/)?.[0].length ?? 0",
    "Array.from('zażółć gęślą').toSorted((a, b) => S.collator.compare(a, b)).join('')",
    "S.wide['p' + #] = #; delete S.wide['p' + #]; S.wide['q' + #] = 1; [S.wide.p7, Object.keys(S.wide).length].join()",
    "S.when = (S.when ?? Temporal.ZonedDateTime.from('2026-03-28T12:00[Europe/Berlin]')).add({ hours: #, minutes: # }); S.when.toString() + S.when.offset",
    "(S.since ??= Temporal.Instant.from('2026-01-01T00:00Z')).until('2026-06-01T00:00Z', { largestUnit: 'hour' }).toString()",
    "S.order ??= []; (async () => { for await (const n of S.stream) { S.order.push(n); if (S.order.length % 3 == 0) return; } })(); await null; await null; S.order.join()",
    "S.walk = S.walk ?? (function* () { try { yield 1; yield* [2, 3] } finally { S.n++ } })(); # % 5 ? S.walk.next().value : S.walk.return(#).value",
    "{ const { promise, resolve } = Promise.withResolvers(); S.open = [...(S.open ?? []), resolve].slice(-5); promise.then(v => S.q.push('w' + v)); S.open.shift()(#); await null; S.q.at(-1) }",
    "{ const b = new ArrayBuffer(64, { maxByteLength: 4096 }); new Uint8Array(b).fill(#); S.moved = b.transfer(2048); [b.detached, S.moved.byteLength, new Uint8Array(S.moved)[3]].join() }",
    "[new Intl.PluralRules('pl').select(#), new Intl.ListFormat('de').format(['a', 'b', '#']), new Intl.RelativeTimeFormat('fr').format(-#, 'day')].join()",
    "Promise.any([Promise.reject(new Error('one #')), Promise.reject(new Error('two'))]).catch(e => e.errors.map(it => it.message).join())",
    "{ const { proxy, revoke } = Proxy.revocable({}, {}); S.revoked = proxy; revoke(); try { S.revoked.x } catch (e) { e.message } }",
    "S.sticky = S.sticky ?? /a(?<n>\\d)/y; { const m = S.sticky.exec('a1a2a3b'); [m?.groups.n, S.sticky.lastIndex].join() }",
    "new BigInt64Array(S.shared, 8, 2)[1] += BigInt(#) ** 3n",
    "Atomics.add(new Int32Array(S.shared), 5, #) + Atomics.compareExchange(new Int32Array(S.shared), 6, 0, #)",
    "S.hot.toString().length + Object.getOwnPropertyNames(Account).join()",
    "JSON.parse(JSON.stringify({ a: [#, { b: 'x'.repeat(# % 90) }], c: S.n }), (k, v) => typeof v === 'number' ? v + 1 : v).a[0]",
];

/// What takes long, or leaves a large heap behind.
pub const HEAVY: &[&str] = &[
    "{ const a = []; for (let i = 0; i < 2e5; i++) a.push({ i, s: 'x' + i }); S.keep = a.filter(x => x.i % 97 == 0); S.keep.length }",
    "{ let junk; for (let i = 0; i < 3e5; i++) junk = { i, a: [i, i] }; S.refs.filter(r => r.deref()).length + ' ' + S.dead }",
    "{ const o = {}; for (let i = 0; i < 2e5; i++) o['p' + i] = i + #; S.wide = o; let s = 0; for (const k in o) s += o[k]; s }",
    // Memory outside of the heap is what makes V8 collect all of it.
    "{ for (let i = 0; i < 40; i++) new ArrayBuffer(4 << 20); await null; S.refs.filter(r => r.deref()).length + ' ' + S.dead }",
    "{ const rows = Array.from({ length: 2000 }, (_, i) => ({ id: i, name: 'row ' + i + '#', ok: i % 2 == 0 })); S.rows = JSON.parse(JSON.stringify(rows)); S.rows.map(r => ({ ...r, id: r.id + 1 })).at(-1).id }",
];

/// The kinds of run that one program is made of. Each leaves out half of them, since what one kind does
/// can hide what another does (Groce and others, "Swarm testing", 2012).
pub struct Program(Vec<&'static str>);

impl Program {
    pub fn new(random: &mut Random) -> Self {
        let mut kinds: Vec<&'static str> = Vec::new();
        kinds.extend(KINDS.iter().filter(|_| random.below(2) == 0));
        kinds.extend(HEAVY.iter().filter(|_| random.below(8) == 0));
        Self(kinds)
    }

    /// The code of one run.
    pub fn code(&self, random: &mut Random) -> String {
        let kind = self.0[random.below(self.0.len() as u64) as usize];
        let mut code = String::new();
        for (index, part) in kind.split('#').enumerate() {
            // `#` is also how private names begin.
            if index > 0 {
                code.push_str(&random.below(1000).to_string());
            }
            code.push_str(part);
        }
        code
    }
}
