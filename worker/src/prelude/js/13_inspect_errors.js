// How an error is shown, and how its name, message and stack are read without harm.

const {
  ErrorPrototype, ObjectHasOwn, ReflectApply, ReflectGetOwnPropertyDescriptor, ReflectOwnKeys,
  StringPrototypeEndsWith, StringPrototypeIncludes, StringPrototypeIndexOf, StringPrototypeRepeat,
  StringPrototypeSlice, StringPrototypeStartsWith, errorStackGetter, list,
} = internal.primordials;
const { cutText, indentLines } = internal.text;
const { domExceptionSlots, isDOMException, ownData, prototypeOf } = internal;

const STACK_CHARS_MAX = 1 << 16;
const PROTOTYPES_MAX = 100;
const FRAME = "\n    at";

const nothing = list();

// A string property, own or inherited, that is data: an accessor of the user is not called.
const inheritedText = (error, key) => {
  let current = error;
  for (let i = 0; i < PROTOTYPES_MAX && current !== null; i++) {
    const descriptor = ReflectGetOwnPropertyDescriptor(current, key);
    if (descriptor !== undefined) {
      const value = ObjectHasOwn(descriptor, "value") ? descriptor.value : undefined;
      return typeof value === "string" ? value : undefined;
    }
    current = prototypeOf(current);
  }
  return undefined;
};

const nameOf = (error) => {
  if (isDOMException(error)) return domExceptionSlots(error).name;
  return inheritedText(error, "name");
};

const messageOf = (error) => {
  if (isDOMException(error)) return domExceptionSlots(error).message;
  return inheritedText(error, "message");
};

// The host names the prelude's scripts with this in front; their frames tell a user nothing.
const PRELUDE_MARK = "internal:";

const withoutPreludeFrames = (stack) => {
  if (!StringPrototypeIncludes(stack, PRELUDE_MARK)) return stack;
  let result = "";
  let from = 0;
  while (from < stack.length) {
    let end = StringPrototypeIndexOf(stack, "\n", from + 1);
    if (end === -1) end = stack.length;
    const line = StringPrototypeSlice(stack, from, end);
    const hidden = StringPrototypeStartsWith(line, FRAME) &&
      (StringPrototypeIncludes(line, `(${PRELUDE_MARK}`) ||
        StringPrototypeIncludes(line, `at ${PRELUDE_MARK}`));
    if (!hidden) result += line;
    from = end;
  }
  return result;
};

// The stack as V8 wrote it; `Error.prepareStackTrace` is the only user code that may run.
const stackOf = (error) => {
  let descriptor;
  let current = error;
  for (let i = 0; i < PROTOTYPES_MAX && current !== null; i++) {
    descriptor = ReflectGetOwnPropertyDescriptor(current, "stack");
    if (descriptor !== undefined || current === ErrorPrototype) break;
    current = prototypeOf(current);
  }
  if (descriptor === undefined) return undefined;
  let stack;
  if (ObjectHasOwn(descriptor, "value")) {
    stack = descriptor.value;
  } else if (ObjectHasOwn(descriptor, "get") && descriptor.get === errorStackGetter) {
    try {
      stack = ReflectApply(errorStackGetter, error, nothing);
    } catch {
      return undefined;
    }
  }
  if (typeof stack !== "string" || stack === "") return undefined;
  return withoutPreludeFrames(cutText(stack, STACK_CHARS_MAX));
};

const headline = (name, message) => {
  if (name === "") return message;
  return message === "" ? name : `${name}: ${message}`;
};

// A class that extends Error and sets no name is shown by its own.
const withClassName = (stack, name, className) => {
  if (!StringPrototypeEndsWith(name, "Error") || !StringPrototypeStartsWith(stack, name)) {
    return stack;
  }
  const after = stack[name.length];
  if (after !== undefined && after !== ":" && after !== "\n") return stack;
  const rest = StringPrototypeSlice(stack, name.length);
  if (className === name) return stack;
  if (StringPrototypeIncludes(className, name)) return className + rest;
  return `${className} [${name}]${rest}`;
};

// V8 writes the stack when the error is made. A message that was changed since goes in front of the
// frames; a stack without frames is the user's own and stays.
const currentStack = (stack, name, message) => {
  if (stack === undefined) return cutText(headline(name, message), STACK_CHARS_MAX);
  const frames = StringPrototypeIndexOf(stack, FRAME);
  if (frames === -1 || message === "") return stack;
  if (StringPrototypeIncludes(StringPrototypeSlice(stack, 0, frames), message)) return stack;
  if (message.length > STACK_CHARS_MAX) return stack;
  return headline(name, message) + StringPrototypeSlice(stack, frames);
};

const errorShape = (error, identity, indentation) => {
  const name = nameOf(error) ?? "Error";
  const message = messageOf(error) ?? "";
  const stack = currentStack(stackOf(error), name, message);
  let base = stack;
  if (isDOMException(error)) {
    if (StringPrototypeStartsWith(base, name)) {
      base = `DOMException [${name}]${StringPrototypeSlice(base, name.length)}`;
    }
  } else if (identity.name !== null) {
    base = withClassName(base, name, identity.name);
  }
  // An error without frames is put in brackets, so that it does not look like a text.
  let from = message === "" ? 0 : StringPrototypeIndexOf(base, message);
  from = from === -1 ? 0 : from + message.length;
  if (StringPrototypeIndexOf(base, FRAME, from) === -1) base = `[${base}]`;
  if (indentation > 0) base = indentLines(base, StringPrototypeRepeat(" ", indentation));

  const shown = (value) => typeof value === "string" && StringPrototypeIncludes(stack, value);
  return {
    base,
    keys: ReflectOwnKeys(error),
    // What the stack says already is not said again.
    skip: (key) => {
      if (key === "stack") return true;
      return (key === "name" || key === "message") && shown(ownData(error, key));
    },
    hidden: (key) => key === "cause" || key === "errors",
  };
};

internal.errorShape = errorShape;
internal.errorNameOf = nameOf;
internal.errorMessageOf = messageOf;
internal.errorStackOf = stackOf;
