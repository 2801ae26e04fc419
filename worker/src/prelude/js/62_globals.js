// structuredClone, queueMicrotask and reportError.

const {
  ReflectApply, SymbolIterator, TypeError, defineGlobal, iterate, list, requireArguments,
  requireDictionary,
} = internal.primordials;
const { enqueueMicrotask, reportError: hostReportError, structuredClone: hostClone } = host;

const nothing = list();

const { structuredClone, queueMicrotask, reportError } = {
  structuredClone(value, options = undefined) {
    requireArguments(arguments.length, 1, "structuredClone");
    const dictionary = requireDictionary(options, "structuredClone");
    const transfer = dictionary === null ? undefined : dictionary.transfer;
    if (transfer === undefined) return hostClone(value, undefined);
    const method = transfer === null ? undefined : transfer[SymbolIterator];
    if (typeof method !== "function") {
      throw new TypeError("structuredClone: `transfer` must be iterable");
    }
    const objects = list();
    iterate(transfer, method, (object) => {
      if (object === null || (typeof object !== "object" && typeof object !== "function")) {
        throw new TypeError("structuredClone: only objects can be transferred");
      }
      objects[objects.length] = object;
    });
    return hostClone(value, objects);
  },
  queueMicrotask(callback) {
    if (typeof callback !== "function") {
      throw new TypeError("queueMicrotask: the callback must be a function");
    }
    enqueueMicrotask(() => {
      try {
        ReflectApply(callback, undefined, nothing);
      } catch (error) {
        hostReportError(error);
      }
    });
  },
  reportError(error) {
    requireArguments(arguments.length, 1, "reportError");
    hostReportError(error);
  },
};

defineGlobal("structuredClone", structuredClone);
defineGlobal("queueMicrotask", queueMicrotask);
defineGlobal("reportError", reportError);
