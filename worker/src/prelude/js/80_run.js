// What is done at the start of each run.

const { JSONParse, ReflectDefineProperty, globalThis } = internal.primordials;

internal.startRun = (a, b, c, d, hasInput, inputJson) => {
  internal.seedRandom(a, b, c, d);
  internal.resetGroups();
  internal.clearTimers();
  internal.forgetWaiters();
  const value = hasInput ? JSONParse(inputJson) : undefined;
  const defined = ReflectDefineProperty(globalThis, "input", {
    __proto__: null, value, writable: true, enumerable: false, configurable: true,
  });
  // A session may have frozen the property's shape but not its value; when it froze both, the old
  // value stays, as the session asked.
  if (!defined) ReflectDefineProperty(globalThis, "input", { __proto__: null, value });
};
