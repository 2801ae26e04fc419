// Timers. The table is a binary heap whose entries know their places, so that a timer is taken
// out at once when it is cleared: what is held is what lives.

const {
  Map, MapPrototypeClear, MapPrototypeDelete, MapPrototypeGet, MapPrototypeSet, MathTrunc,
  ReflectApply, TypeError, defineGlobal, globalThis, list,
} = internal.primordials;
const { checkpoint, nowMs, reportError, stopping } = host;

const DELAY_MS_MAX = 2 ** 31 - 1;
const INTERVAL_MS_MIN = 1;

const ONE_SHOT = 0;
const INTERVAL = 1;
// Fires if the run is still there, but nothing waits for it (AbortSignal.timeout).
const BACKGROUND = 2;

const nothing = list();

let heap = list();
const byId = new Map();
let lastId = 0;
const live = { [ONE_SHOT]: 0, [INTERVAL]: 0, [BACKGROUND]: 0 };

// Puts a timer at its place, starting from `from`, in a heap of `length` timers. It calls nothing:
// a stack overflow can only be thrown at its start, before it has changed anything.
const place = (timer, from, length) => {
  let index = from;
  while (index > 0) {
    const parentIndex = (index - 1) >>> 1;
    const parent = heap[parentIndex];
    if (parent.dueMs < timer.dueMs || (parent.dueMs === timer.dueMs && parent.id < timer.id)) break;
    heap[index] = parent;
    parent.index = index;
    index = parentIndex;
  }
  while (index >= from) {
    let childIndex = 2 * index + 1;
    if (childIndex >= length) break;
    let child = heap[childIndex];
    if (childIndex + 1 < length) {
      const other = heap[childIndex + 1];
      if (other.dueMs < child.dueMs || (other.dueMs === child.dueMs && other.id < child.id)) {
        childIndex++;
        child = other;
      }
    }
    if (timer.dueMs < child.dueMs || (timer.dueMs === child.dueMs && timer.id < child.id)) break;
    heap[index] = child;
    child.index = index;
    index = childIndex;
  }
  heap[index] = timer;
  timer.index = index;
};

const insert = (timer) => place(timer, heap.length, heap.length);

const takeOut = (timer) => {
  const length = heap.length - 1;
  const last = heap[length];
  if (last !== timer) place(last, timer.index, length);
  heap.length = length;
  timer.index = -1;
};

const add = (callback, args, delayMs, kind) => {
  const timer = {
    id: ++lastId, dueMs: nowMs() + delayMs, index: -1, kind, delayMs, callback, args,
  };
  insert(timer);
  MapPrototypeSet(byId, timer.id, timer);
  live[kind]++;
  return timer.id;
};

const remove = (id) => {
  const timer = MapPrototypeGet(byId, id);
  if (timer === undefined) return;
  // An interval that is being called right now is not in the heap.
  if (timer.index !== -1) takeOut(timer);
  MapPrototypeDelete(byId, id);
  live[timer.kind]--;
};

const toDelayMs = (delay) => {
  const ms = MathTrunc(+delay);
  if (!(ms > 0)) return 0;
  return ms > DELAY_MS_MAX ? 1 : ms;
};

const requireFunction = (callback, name) => {
  if (typeof callback !== "function") {
    throw new TypeError(`${name}: the callback must be a function`);
  }
};

const { setTimeout, setInterval, clearTimeout, clearInterval } = {
  setTimeout(callback, delay = 0, ...args) {
    requireFunction(callback, "setTimeout");
    return add(callback, args.length === 0 ? nothing : args, toDelayMs(delay), ONE_SHOT);
  },
  setInterval(callback, delay = 0, ...args) {
    requireFunction(callback, "setInterval");
    const delayMs = toDelayMs(delay);
    return add(
      callback,
      args.length === 0 ? nothing : args,
      delayMs < INTERVAL_MS_MIN ? INTERVAL_MS_MIN : delayMs,
      INTERVAL,
    );
  },
  clearTimeout(id = 0) {
    remove(typeof id === "number" ? id : +id);
  },
  clearInterval(id = 0) {
    remove(typeof id === "number" ? id : +id);
  },
};

const call = (timer) => {
  try {
    ReflectApply(timer.callback, globalThis, timer.args);
  } catch (error) {
    reportError(error);
  }
};

// Calls what is due now, in order; timers that these calls set wait for the next time.
internal.runTimers = () => {
  const now = nowMs();
  const newestId = lastId;
  while (heap.length > 0) {
    const timer = heap[0];
    if (timer.dueMs > now || timer.id > newestId || stopping()) return;
    takeOut(timer);
    if (timer.kind === INTERVAL) {
      call(timer);
      checkpoint();
      if (MapPrototypeGet(byId, timer.id) !== timer) continue;
      timer.dueMs = nowMs() + timer.delayMs;
      insert(timer);
    } else {
      MapPrototypeDelete(byId, timer.id);
      live[timer.kind]--;
      call(timer);
      checkpoint();
    }
  }
};

internal.nextTimerMs = () => {
  if (heap.length === 0) return -1;
  const ms = heap[0].dueMs - nowMs();
  return ms > 0 ? ms : 0;
};
// What a run may still wait for, in one call: 1 for waiters, 2 for one-shot timers, 4 for timers of
// any kind.
internal.pending = () => {
  let pending = internal.waiters() > 0 ? 1 : 0;
  if (live[ONE_SHOT] > 0) pending |= 2;
  if (heap.length > 0) pending |= 4;
  return pending;
};
internal.intervalCount = () => live[INTERVAL];
internal.backgroundTimerCount = () => live[BACKGROUND];

// Keeps the timers that `keep` accepts; gives how many others there were.
const retain = (keep) => {
  const old = heap;
  heap = list();
  let removed = 0;
  for (let i = 0; i < old.length; i++) {
    const timer = old[i];
    if (keep(timer)) {
      insert(timer);
    } else {
      MapPrototypeDelete(byId, timer.id);
      live[timer.kind]--;
      timer.index = -1;
      removed++;
    }
  }
  return removed;
};

internal.clearIntervals = () => retain((timer) => timer.kind !== INTERVAL);
internal.clearTimers = () => {
  heap = list();
  MapPrototypeClear(byId);
  live[ONE_SHOT] = live[INTERVAL] = live[BACKGROUND] = 0;
};
internal.addBackgroundTimer = (callback, delayMs) => add(callback, nothing, delayMs, BACKGROUND);
internal.timerIds = { __proto__: null, get: () => lastId, restore: (id) => void (lastId = id) };

defineGlobal("setTimeout", setTimeout);
defineGlobal("setInterval", setInterval);
defineGlobal("clearTimeout", clearTimeout);
defineGlobal("clearInterval", clearInterval);
