// AbortController and AbortSignal.

const {
  Number, ReflectApply, ReflectConstruct, Set, SetPrototypeAdd, SetPrototypeDelete,
  SymbolIterator, TypeError, WeakRef, WeakRefPrototypeDeref, defineGlobal, iterate, list,
  requireArguments, webidlInterface,
} = internal.primordials;
const {
  EventTarget, addBackgroundTimer, domException, fire, inspectHooks, listenersOf, shownAs,
} = internal;

const TIMEOUT_MS_MAX = Number.MAX_SAFE_INTEGER;

const Stamp = function (object) {
  return object;
};

// What a signal is besides an EventTarget.
class State extends Stamp {
  #aborted = false;
  #reason = undefined;
  #onabort = null;
  #onabortEntry = undefined;
  // Each a pair: the owner, by which it is taken away again, and the function.
  #algorithms = list();
  // The signals that a dependent one (AbortSignal.any) follows; it is followed by weak references,
  // for a signal that lives long may have many followers that nobody knows any more.
  #sources = list();
  #followers = list();
  #followersSwept = 16;
  // Followers with listeners: these must live on, for their listeners will be called.
  #heldFollowers = undefined;

  static create() {
    const signal = ReflectConstruct(EventTarget, list(), AbortSignal);
    new State(signal);
    return signal;
  }
  static has(value) {
    return value !== null && (typeof value === "object" || typeof value === "function") &&
      #aborted in value;
  }
  static check(value) {
    if (!State.has(value)) throw new TypeError("Illegal invocation");
  }
  static isAborted(signal) {
    return signal.#aborted;
  }
  static reasonOf(signal) {
    return signal.#reason;
  }
  static onabortOf(signal) {
    return signal.#onabort;
  }
  static setOnabort(signal, value) {
    const isCallable = value !== null && (typeof value === "object" || typeof value === "function");
    signal.#onabort = isCallable ? value : null;
    if (isCallable && signal.#onabortEntry === undefined) {
      const listeners = listenersOf(signal);
      // One listener, placed when the attribute is first set, that calls what is set by then.
      const entry = {
        type: "abort", capture: false, once: false, passive: false, signal: undefined,
        listeners, removed: false, onRemoved: undefined,
        callback: function (event) {
          const handler = signal.#onabort;
          if (typeof handler === "function") {
            ReflectApply(handler, signal, [event]);
          }
        },
      };
      signal.#onabortEntry = entry;
      listeners[listeners.length] = entry;
    } else if (!isCallable && signal.#onabortEntry !== undefined) {
      const entry = signal.#onabortEntry;
      signal.#onabortEntry = undefined;
      entry.removed = true;
      const { listeners } = entry;
      let at = 0;
      for (let i = 0; i < listeners.length; i++) {
        if (listeners[i] !== entry) listeners[at++] = listeners[i];
      }
      listeners.length = at;
    }
    State.holdWhileHeard(signal);
  }

  static addAlgorithm(signal, owner, run) {
    if (signal.#aborted) return;
    const algorithms = signal.#algorithms;
    algorithms[algorithms.length] = { owner, run };
    State.holdWhileHeard(signal);
  }
  static removeAlgorithm(signal, owner) {
    const algorithms = signal.#algorithms;
    let at = 0;
    for (let i = 0; i < algorithms.length; i++) {
      if (algorithms[i].owner !== owner) algorithms[at++] = algorithms[i];
    }
    algorithms.length = at;
    State.holdWhileHeard(signal);
  }

  // A dependent signal that somebody listens to lives as long as its sources.
  static holdWhileHeard(signal) {
    const sources = signal.#sources;
    if (sources.length === 0) return;
    const heard = listenersOf(signal).length > 0 || signal.#algorithms.length > 0;
    for (let i = 0; i < sources.length; i++) {
      const source = sources[i];
      if (heard) {
        source.#heldFollowers ??= new Set();
        SetPrototypeAdd(source.#heldFollowers, signal);
      } else if (source.#heldFollowers !== undefined) {
        SetPrototypeDelete(source.#heldFollowers, signal);
      }
    }
  }

  static follow(signal, source) {
    const sources = signal.#sources;
    for (let i = 0; i < sources.length; i++) if (sources[i] === source) return;
    sources[sources.length] = source;
    const followers = source.#followers;
    followers[followers.length] = new WeakRef(signal);
    if (followers.length < 2 * source.#followersSwept) return;
    let at = 0;
    for (let i = 0; i < followers.length; i++) {
      if (WeakRefPrototypeDeref(followers[i]) !== undefined) followers[at++] = followers[i];
    }
    followers.length = at;
    source.#followersSwept = at < 16 ? 16 : at;
  }
  static sourcesOf(signal) {
    return signal.#sources;
  }

  static abort(signal, reason) {
    if (signal.#aborted) return;
    State.mark(signal, reason);
    // All are marked before any code of the user runs.
    const followers = signal.#followers;
    signal.#followers = list();
    signal.#heldFollowers = undefined;
    const marked = list();
    for (let i = 0; i < followers.length; i++) {
      const follower = WeakRefPrototypeDeref(followers[i]);
      if (follower === undefined || follower.#aborted) continue;
      State.mark(follower, signal.#reason);
      marked[marked.length] = follower;
    }
    State.announce(signal);
    for (let i = 0; i < marked.length; i++) State.announce(marked[i]);
  }
  static mark(signal, reason) {
    signal.#aborted = true;
    signal.#reason =
      reason === undefined ? domException("This operation was aborted", "AbortError") : reason;
    const sources = signal.#sources;
    signal.#sources = list();
    for (let i = 0; i < sources.length; i++) {
      const held = sources[i].#heldFollowers;
      if (held !== undefined) SetPrototypeDelete(held, signal);
    }
  }
  static announce(signal) {
    const algorithms = signal.#algorithms;
    signal.#algorithms = list();
    for (let i = 0; i < algorithms.length; i++) algorithms[i].run();
    fire(signal, "abort");
  }
}

class AbortSignal extends EventTarget {
  constructor() {
    throw new TypeError("Illegal constructor");
  }
  static abort(reason = undefined) {
    const signal = State.create();
    State.mark(signal, reason);
    return signal;
  }
  static timeout(milliseconds) {
    requireArguments(arguments.length, 1, "AbortSignal.timeout");
    const ms = +milliseconds;
    if (!(ms >= 0) || ms > TIMEOUT_MS_MAX) {
      throw new TypeError("AbortSignal.timeout: the milliseconds are out of range");
    }
    const signal = State.create();
    addBackgroundTimer(() => {
      State.abort(signal, domException("The operation was aborted due to timeout", "TimeoutError"));
    }, ms);
    return signal;
  }
  static any(signals) {
    requireArguments(arguments.length, 1, "AbortSignal.any");
    const method = signals === null || signals === undefined ? undefined : signals[SymbolIterator];
    if (typeof method !== "function") {
      throw new TypeError("AbortSignal.any: the argument must be iterable");
    }
    const given = list();
    iterate(signals, method, (signal) => {
      if (!State.has(signal)) throw new TypeError("AbortSignal.any: a value is no AbortSignal");
      given[given.length] = signal;
    });
    const result = State.create();
    for (let i = 0; i < given.length; i++) {
      if (State.isAborted(given[i])) {
        State.mark(result, State.reasonOf(given[i]));
        return result;
      }
    }
    for (let i = 0; i < given.length; i++) {
      const sources = State.sourcesOf(given[i]);
      if (sources.length === 0) State.follow(result, given[i]);
      for (let j = 0; j < sources.length; j++) State.follow(result, sources[j]);
    }
    return result;
  }
  get aborted() {
    State.check(this);
    return State.isAborted(this);
  }
  get reason() {
    State.check(this);
    return State.reasonOf(this);
  }
  throwIfAborted() {
    State.check(this);
    if (State.isAborted(this)) throw State.reasonOf(this);
  }
  get onabort() {
    State.check(this);
    return State.onabortOf(this);
  }
  set onabort(value) {
    State.check(this);
    State.setOnabort(this, value);
  }
}

class AbortController {
  #signal = State.create();
  get signal() {
    return this.#signal;
  }
  abort(reason = undefined) {
    State.abort(this.#signal, reason);
  }
  static signalOf(value) {
    return #signal in value ? value.#signal : undefined;
  }
}
const { signalOf } = AbortController;
delete AbortController.signalOf;

webidlInterface(AbortSignal);
webidlInterface(AbortController);
defineGlobal("AbortController", AbortController);
defineGlobal("AbortSignal", AbortSignal);

internal.isAbortSignal = State.has;
internal.isAborted = State.isAborted;
internal.addAbortAlgorithm = State.addAlgorithm;
internal.removeAbortAlgorithm = State.removeAlgorithm;
internal.abortListenersChanged = State.holdWhileHeard;

inspectHooks[inspectHooks.length] = (value) => {
  const pairs = list();
  if (State.has(value)) {
    pairs[0] = "aborted";
    pairs[1] = State.isAborted(value);
  } else {
    const signal = signalOf(value);
    if (signal === undefined) {
      // A plain EventTarget has nothing to show; a class of the user shows its own fields.
      return undefined;
    }
    pairs[0] = "signal";
    pairs[1] = signal;
  }
  return shownAs(pairs);
};
