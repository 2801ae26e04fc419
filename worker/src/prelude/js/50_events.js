// Event, CustomEvent and EventTarget. There is no tree: an event has one target.

const {
  ObjectDefineProperty, ReflectApply, ReflectConstruct, TypeError, defineGlobal, list,
  requireArguments, requireDictionary, uncurryThis, webidlInterface,
} = internal.primordials;
const { inspectHooks, shownAs } = internal;
const { nowMs, reportError } = host;

const AT_TARGET = 2;

const isObject = (value) => {
  return value !== null && (typeof value === "object" || typeof value === "function");
};

// Functions that reach the private fields; set in the classes' static blocks.
let eventState;
let listenersOf;
let detailOf;

class Event {
  #state;
  // Of a CustomEvent alone.
  #detail = undefined;

  constructor(type, eventInitDict = undefined) {
    requireArguments(arguments.length, 1, "Event");
    const name = `${type}`;
    const init = requireDictionary(eventInitDict, "Event");
    this.#state = {
      type: name,
      bubbles: init !== null && !!init.bubbles,
      cancelable: init !== null && !!init.cancelable,
      composed: init !== null && !!init.composed,
      timeStamp: nowMs(),
      target: null,
      currentTarget: null,
      phase: 0,
      canceled: false,
      stopped: false,
      stoppedNow: false,
      passive: false,
      dispatching: false,
      trusted: false,
    };
  }
  static {
    eventState = (event) => (isObject(event) && #state in event ? event.#state : undefined);
    detailOf = {
      __proto__: null,
      get: (event) => event.#detail,
      set: (event, detail) => {
        event.#detail = { value: detail };
      },
    };
  }

  get type() {
    return this.#state.type;
  }
  get target() {
    return this.#state.target;
  }
  get srcElement() {
    return this.#state.target;
  }
  get currentTarget() {
    return this.#state.currentTarget;
  }
  get eventPhase() {
    return this.#state.phase;
  }
  get bubbles() {
    return this.#state.bubbles;
  }
  get cancelable() {
    return this.#state.cancelable;
  }
  get composed() {
    return this.#state.composed;
  }
  get defaultPrevented() {
    return this.#state.canceled;
  }
  get returnValue() {
    return !this.#state.canceled;
  }
  set returnValue(value) {
    const state = this.#state;
    if (!value && state.cancelable && !state.passive) state.canceled = true;
  }
  get cancelBubble() {
    return this.#state.stopped;
  }
  set cancelBubble(value) {
    const state = this.#state;
    if (value) state.stopped = true;
  }
  get timeStamp() {
    return this.#state.timeStamp;
  }
  get isTrusted() {
    return this.#state.trusted;
  }
  composedPath() {
    const { currentTarget } = this.#state;
    return currentTarget === null ? [] : [currentTarget];
  }
  stopPropagation() {
    this.#state.stopped = true;
  }
  stopImmediatePropagation() {
    const state = this.#state;
    state.stopped = true;
    state.stoppedNow = true;
  }
  preventDefault() {
    const state = this.#state;
    if (state.cancelable && !state.passive) state.canceled = true;
  }
  initEvent(type, bubbles = false, cancelable = false) {
    const state = this.#state;
    requireArguments(arguments.length, 1, "Event.initEvent");
    const name = `${type}`;
    if (state.dispatching) return;
    state.type = name;
    state.bubbles = !!bubbles;
    state.cancelable = !!cancelable;
    state.stopped = state.stoppedNow = state.canceled = state.trusted = false;
    state.target = null;
  }
}

const phases = ["NONE", "CAPTURING_PHASE", "AT_TARGET", "BUBBLING_PHASE"];

class CustomEvent extends Event {
  constructor(type, eventInitDict = undefined) {
    requireArguments(arguments.length, 1, "CustomEvent");
    // Not `super`: user code may have changed what CustomEvent inherits from.
    const event = ReflectConstruct(Event, [type, eventInitDict], new.target);
    const init = requireDictionary(eventInitDict, "CustomEvent");
    const detail = init === null ? undefined : init.detail;
    detailOf.set(event, detail === undefined ? null : detail);
    return event;
  }
  get detail() {
    if (eventState(this) === undefined || detailOf.get(this) === undefined) {
      throw new TypeError("Illegal invocation");
    }
    return detailOf.get(this).value;
  }
  initCustomEvent(type, bubbles = false, cancelable = false, detail = null) {
    const state = eventState(this);
    if (state === undefined || detailOf.get(this) === undefined) {
      throw new TypeError("Illegal invocation");
    }
    requireArguments(arguments.length, 1, "CustomEvent.initCustomEvent");
    if (state.dispatching) return;
    initEvent(this, type, bubbles, cancelable);
    detailOf.set(this, detail);
  }
}
const initEvent = uncurryThis(Event.prototype.initEvent);

const flattenCapture = (options) => {
  if (isObject(options)) return !!options.capture;
  return !!options;
};

const removeListener = (entry) => {
  if (entry.removed) return;
  entry.removed = true;
  const { listeners } = entry;
  let at = 0;
  for (let i = 0; i < listeners.length; i++) {
    if (listeners[i] !== entry) listeners[at++] = listeners[i];
  }
  listeners.length = at;
  if (entry.signal !== undefined) internal.removeAbortAlgorithm(entry.signal, entry);
  if (entry.onRemoved !== undefined) entry.onRemoved();
};

const callListener = (event, state, entry, target) => {
  const { callback } = entry;
  state.passive = entry.passive;
  try {
    if (typeof callback === "function") {
      ReflectApply(callback, target, [event]);
    } else {
      const { handleEvent } = callback;
      if (typeof handleEvent !== "function") {
        throw new TypeError("the event listener has no function handleEvent");
      }
      ReflectApply(handleEvent, callback, [event]);
    }
  } catch (error) {
    reportError(error);
  }
  state.passive = false;
};

// Calls the listeners; gives false when one of them cancelled the event.
const dispatch = (target, event, state) => {
  state.dispatching = true;
  state.target = target;
  state.currentTarget = target;
  state.phase = AT_TARGET;
  const listeners = listenersOf(target);
  // At the target, listeners that capture come first; a stop in their pass ends the other one.
  for (let pass = 0; pass < 2 && !state.stopped; pass++) {
    const chosen = list();
    for (let i = 0; i < listeners.length; i++) {
      const entry = listeners[i];
      const isChosen = entry.type === state.type && entry.capture === (pass === 0);
      if (isChosen) chosen[chosen.length] = entry;
    }
    for (let i = 0; i < chosen.length && !state.stoppedNow; i++) {
      const entry = chosen[i];
      if (entry.removed) continue;
      if (entry.once) removeListener(entry);
      callListener(event, state, entry, target);
    }
  }
  state.phase = 0;
  state.currentTarget = null;
  state.dispatching = state.stopped = state.stoppedNow = false;
  return !state.canceled;
};

class EventTarget {
  #listeners = list();

  static {
    listenersOf = (target) => target.#listeners;
  }

  addEventListener(type, callback, options = undefined) {
    const listeners = this.#listeners;
    requireArguments(arguments.length, 2, "EventTarget.addEventListener");
    const name = `${type}`;
    if (callback !== null && callback !== undefined && !isObject(callback)) {
      throw new TypeError("EventTarget.addEventListener: the listener must be an object");
    }
    const entry = {
      type: name, callback, capture: false, once: false, passive: false, signal: undefined,
      listeners, removed: false, onRemoved: undefined,
    };
    if (isObject(options)) {
      entry.capture = !!options.capture;
      entry.once = !!options.once;
      entry.passive = !!options.passive;
      const { signal } = options;
      if (signal !== undefined) {
        if (!internal.isAbortSignal(signal)) {
          throw new TypeError("EventTarget.addEventListener: the signal must be an AbortSignal");
        }
        entry.signal = signal;
      }
    } else {
      entry.capture = !!options;
    }
    if (entry.signal !== undefined && internal.isAborted(entry.signal)) return;
    if (callback === null || callback === undefined) return;
    for (let i = 0; i < listeners.length; i++) {
      const other = listeners[i];
      const isSame = other.type === name && other.callback === callback;
      if (isSame && other.capture === entry.capture) return;
    }
    listeners[listeners.length] = entry;
    if (entry.signal !== undefined) {
      internal.addAbortAlgorithm(entry.signal, entry, () => removeListener(entry));
    }
    if (internal.isAbortSignal(this)) {
      entry.onRemoved = () => internal.abortListenersChanged(this);
      internal.abortListenersChanged(this);
    }
  }
  removeEventListener(type, callback, options = undefined) {
    const listeners = this.#listeners;
    requireArguments(arguments.length, 2, "EventTarget.removeEventListener");
    const name = `${type}`;
    const capture = flattenCapture(options);
    for (let i = 0; i < listeners.length; i++) {
      const entry = listeners[i];
      if (entry.type === name && entry.callback === callback && entry.capture === capture) {
        removeListener(entry);
        return;
      }
    }
  }
  dispatchEvent(event) {
    this.#listeners;
    requireArguments(arguments.length, 1, "EventTarget.dispatchEvent");
    const state = eventState(event);
    if (state === undefined) {
      throw new TypeError("EventTarget.dispatchEvent: the argument must be an Event");
    }
    if (state.dispatching) {
      throw internal.domException("The event is already being dispatched", "InvalidStateError");
    }
    state.trusted = false;
    return dispatch(this, event, state);
  }
}

webidlInterface(Event);
webidlInterface(CustomEvent);
webidlInterface(EventTarget);
for (let i = 0; i < phases.length; i++) {
  const constant = {
    __proto__: null, value: i, writable: false, enumerable: true, configurable: false,
  };
  ObjectDefineProperty(Event, phases[i], constant);
  ObjectDefineProperty(Event.prototype, phases[i], constant);
}
defineGlobal("Event", Event);
defineGlobal("CustomEvent", CustomEvent);
defineGlobal("EventTarget", EventTarget);

internal.EventTarget = EventTarget;
internal.listenersOf = listenersOf;
// An event that the prelude itself fires.
internal.fire = (target, type) => {
  const event = new Event(type);
  const state = eventState(event);
  state.trusted = true;
  dispatch(target, event, state);
};

inspectHooks[inspectHooks.length] = (value) => {
  const state = eventState(value);
  if (state === undefined) return undefined;
  const pairs = list();
  const add = (name, item) => {
    pairs[pairs.length] = name;
    pairs[pairs.length] = item;
  };
  add("type", state.type);
  add("defaultPrevented", state.canceled);
  add("cancelable", state.cancelable);
  add("timeStamp", state.timeStamp);
  const detail = detailOf.get(value);
  if (detail !== undefined) add("detail", detail.value);
  return shownAs(pairs);
};
