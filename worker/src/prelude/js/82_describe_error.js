// What is told of an exception that ends a run.

const { RangeErrorPrototype, ReflectGetOwnPropertyDescriptor, ReflectGetPrototypeOf } =
  internal.primordials;
const { cutText } = internal.text;
const {
  errorMessageOf, errorNameOf, errorStackOf, identify, inspect, isProxy, ownData,
} = internal;
const { provokeArrayBufferLimit, typeTag } = host;

const NAME_CHARS_MAX = 1000;
const MESSAGE_CHARS_MAX = 1 << 16;
const STACK_CHARS_MAX = 1 << 17;
const CAUSES_DEPTH_MAX = 4;

// V8's own messages are taken from errors that it throws here, so that no text is written down.
const stackOverflowMessage = (() => {
  const recurse = () => recurse() + 1;
  try {
    return recurse();
  } catch (error) {
    return error.message;
  }
})();
const arrayBufferLimitMessage = provokeArrayBufferLimit();

const isObject = (value) => {
  return value !== null && (typeof value === "object" || typeof value === "function");
};

// An accessor of the user's class is called here, as V8 does for what nobody caught.
const readText = (error, key, known) => {
  if (known !== undefined) return known;
  try {
    const value = error[key];
    if (typeof value === "string") return value;
    if (value === undefined || isObject(value)) return undefined;
    return cutText(inspect(value), NAME_CHARS_MAX);
  } catch {
    return undefined;
  }
};

const safely = (read, fallback) => {
  try {
    return read();
  } catch {
    return fallback;
  }
};

const thrownText = (thrown) => {
  if (typeof thrown === "string") return thrown;
  return inspect(thrown, CAUSES_DEPTH_MAX, MESSAGE_CHARS_MAX);
};

// Whether V8 itself threw a RangeError with this message.
const isRangeErrorOf = (error, message) => {
  return typeof message === "string" && ReflectGetPrototypeOf(error) === RangeErrorPrototype &&
    ownData(error, "message") === message &&
    ReflectGetOwnPropertyDescriptor(error, "name") === undefined;
};

// `[name, message, stack, isError, isStackOverflow, isArrayBufferLimit]`
internal.describeError = (thrown) => {
  if (!isObject(thrown) || isProxy(thrown) || typeTag(thrown) !== "NativeError") {
    const text = safely(() => thrownText(thrown), "(an exception that can't be shown)");
    return ["Error", cutText(text, MESSAGE_CHARS_MAX), "", false, false, false];
  }
  const name = readText(thrown, "name", safely(() => errorNameOf(thrown))) ||
    safely(() => identify(thrown).name) || "Error";
  const message = readText(thrown, "message", safely(() => errorMessageOf(thrown))) ?? "";
  const stack = safely(() => {
    if (errorStackOf(thrown) === undefined) return "";
    return cutText(inspect(thrown, CAUSES_DEPTH_MAX, STACK_CHARS_MAX), STACK_CHARS_MAX);
  }, "");
  return [
    cutText(name, NAME_CHARS_MAX),
    cutText(message, MESSAGE_CHARS_MAX),
    stack,
    true,
    isRangeErrorOf(thrown, stackOverflowMessage),
    isRangeErrorOf(thrown, arrayBufferLimitMessage),
  ];
};
