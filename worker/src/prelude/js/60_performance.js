// performance: the clock of the run, no entries.

const { ReflectConstruct, TypeError, defineGlobal, list, webidlInterface } = internal.primordials;
const { EventTarget, inspectHooks, shownAs } = internal;
const { nowMs, timeOriginMs } = host;

const Stamp = function (object) {
  return object;
};
class Brand extends Stamp {
  #brand;
  static check(value) {
    if (!(#brand in value)) throw new TypeError("Illegal invocation");
  }
  static has(value) {
    return #brand in value;
  }
}

class Performance extends EventTarget {
  constructor() {
    throw new TypeError("Illegal constructor");
  }
  get timeOrigin() {
    Brand.check(this);
    return timeOriginMs();
  }
  now() {
    Brand.check(this);
    return nowMs();
  }
  toJSON() {
    Brand.check(this);
    return { timeOrigin: timeOriginMs() };
  }
}
const performance = ReflectConstruct(EventTarget, list(), Performance);
new Brand(performance);

webidlInterface(Performance);
defineGlobal("Performance", Performance);
defineGlobal("performance", performance);

inspectHooks[inspectHooks.length] = (value) => {
  if (!Brand.has(value)) return undefined;
  const pairs = list();
  pairs[0] = "timeOrigin";
  pairs[1] = timeOriginMs();
  return shownAs(pairs, false, true);
};
