//! What a rendering may come to: bounds of the texts and lists that a template makes, of how deep they are nested, and of what it
//! works through.
//!
//! minijinja counts instructions (`guard::FUEL`), and a few of them make gigabytes: a text that is doubled in a loop, a width of a
//! billion, a namespace that holds itself and is printed. It has no hook for its operators, so the source is prepared ([`bounded`]):
//! operands of `~`, `+`, `*` and comparisons, what is sliced and what a namespace gets go through filters that look at them and change
//! nothing, and the body of a loop begins with a call that counts. Filters and methods are called by way of `filter` and `method`. What is over a bound is an
//! error of the template.

use std::cell::{Cell, RefCell};
use std::io;

use minijinja::value::{Rest, Tuple, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Template, Value, filters, tests};

use super::held_source;
pub use super::held_source::bounded;

/// Bytes of a text that a template makes; a prompt of two million tokens has eight million.
const TEXT: usize = 16 << 20;
/// Bytes of what a template prints.
const PRINTED: usize = 64 << 20;
/// Items of a list that a template makes, and values within values that are looked through at once.
const ITEMS: usize = 1_000_000;
/// How deep values are nested in each other.
const DEEPEST: usize = 200;
/// Width of a number or a text that is filled up.
const WIDTH: usize = 100_000;
/// Bytes that a rendering works through, in texts, items and pieces of the template between its tags.
const WORK: usize = 1 << 30;
/// Bytes that an item of a list counts for: so much longer it takes to go over one.
const ITEM: usize = 32;

thread_local! {
    /// Bytes that the rendering of this thread may still work through, and print.
    static LEFT: Cell<[usize; 2]> = const { Cell::new([WORK, PRINTED]) };
    /// Left operands of the products that are being computed: how long they are, where they are texts or lists.
    static FACTORS: RefCell<Vec<Option<usize>>> = const { RefCell::new(Vec::new()) };
    /// Length of the last product.
    static PRODUCT: Cell<Option<usize>> = const { Cell::new(None) };
}

fn refused(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// Takes note of work.
fn work(bytes: usize) -> Result<(), Error> {
    let [left, printed] = LEFT.get();
    LEFT.set([left.saturating_sub(bytes), printed]);
    if bytes <= left {
        Ok(())
    } else {
        Err(refused(format!("the template works through more than {WORK} bytes of text, lists and loops")))
    }
}

/// Whether a text or list of so many bytes or items may be made: a thing and what it is counted in.
fn fits(length: usize, most: usize, (what, unit): (&str, &str)) -> Result<(), Error> {
    if length <= most {
        Ok(())
    } else {
        Err(refused(format!("the template makes {what} of {length} {unit}; at most {most} are possible")))
    }
}

const A_TEXT: (&str, &str) = ("a text", "bytes");
const A_LIST: (&str, &str) = ("a list", "items");
const A_VALUE: (&str, &str) = ("a value", "parts");
const A_WIDTH: (&str, &str) = ("something", "characters in width");

/// Looks at a value from outside: how long it is.
fn shallow(value: &Value) -> Result<(), Error> {
    if let Some(text) = value.as_str() {
        fits(text.len(), TEXT, A_TEXT)?;
        return work(text.len());
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            let items = value.len().unwrap_or(0);
            fits(items, ITEMS, A_LIST)?;
            work(items.saturating_mul(ITEM))
        }
        _ => Ok(()),
    }
}

/// Looks at a value and all that is in it; the bytes of its texts. `holder` must not be among it.
fn deep(value: &Value, holder: Option<&Value>) -> Result<usize, Error> {
    if value.as_str().is_some() || value.as_object().is_none() {
        shallow(value)?;
        return Ok(value.as_str().map_or(0, str::len));
    }
    let (mut bytes, mut seen, mut waiting) = (0, 0, vec![(value.clone(), 0)]);
    while let Some((value, depth)) = waiting.pop() {
        seen += 1;
        fits(seen, ITEMS, A_VALUE)?;
        fits(depth, DEEPEST, ("a nested value, or a namespace that holds itself,", "levels"))?;
        if holder.is_some_and(|holder| is_namespace(&value) && value == *holder) {
            return Err(refused("a namespace cannot hold itself"));
        }
        bytes += value.as_str().map_or(16, str::len);
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
                fits(value.len().unwrap_or(0), ITEMS, A_LIST)?;
                waiting.extend(value.try_iter()?.map(|item| (item, depth + 1)));
            }
            ValueKind::Map => {
                let pairs = value.as_object().and_then(|object| object.try_iter_pairs()).into_iter().flatten();
                waiting.extend(pairs.flat_map(|(key, item)| [(key, depth + 1), (item, depth + 1)]));
            }
            _ => {}
        }
        fits(waiting.len(), ITEMS, A_VALUE)?;
    }
    fits(bytes, 4 * TEXT, ("a value", "bytes"))?;
    work(bytes)?;
    Ok(bytes)
}

fn is_namespace(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace"))
}

/// Prepares an environment for sources that [`bounded`] has prepared: the filters and the function that they call, and minijinja's
/// own filters by way of `filter`.
pub fn install(env: &mut Environment<'static>) {
    env.add_filter(held_source::OPERAND, |value: Value| deep(&value, None).map(|_| value));
    env.add_filter(held_source::COMPARED, |value: Value| compared(&value).map(|()| value));
    env.add_filter(held_source::SEEN, |value: Value| counted(&value).map(|()| value));
    env.add_filter(held_source::SLICE, slice);
    env.add_filter(held_source::KEPT, |value: Value, holder: Value| deep(&value, Some(&holder)).map(|_| value));
    env.add_filter(held_source::LEFT_FACTOR, |value: Value| {
        shallow(&value)?;
        FACTORS.with_borrow_mut(|factors| factors.push(length(&value)));
        Ok::<_, Error>(value)
    });
    env.add_filter(held_source::PRODUCT_FACTOR, |value: Value| {
        FACTORS.with_borrow_mut(|factors| factors.push(PRODUCT.get()));
        value
    });
    env.add_filter(held_source::RIGHT_FACTOR, |value: Value| right_factor(&value).map(|()| value));
    env.add_function(held_source::TICK, |bytes: usize| work(bytes + 16));
    macro_rules! own {
        ($($name:literal $function:ident)*) => {
            [$(($name, Value::from_function(filters::$function))),*]
        };
    }
    let own = own! {
        "safe" safe "escape" escape "e" escape "lower" lower "upper" upper "title" title "capitalize" capitalize
        "replace" replace "dictsort" dictsort "reverse" reverse "trim" trim "join" join "split" split "lines" lines
        "min" min "max" max "sort" sort "list" list "string" string "batch" batch "slice" slice "sum" sum "indent" indent
        "groupby" groupby "unique" unique "pprint" pprint "format" format "length" length "count" length "int" int
        "float" float
    };
    own.into_iter().for_each(|(name, function)| filter(env, name, function));
    macro_rules! compares {
        ($($name:literal $function:ident)*) => {
            [$(($name, Value::from_function(tests::$function))),*]
        };
    }
    let compares = compares! {
        "eq" is_eq "equalto" is_eq "==" is_eq "ne" is_ne "!=" is_ne "lt" is_lt "lessthan" is_lt "<" is_lt "le" is_le
        "<=" is_le "gt" is_gt "greaterthan" is_gt ">" is_gt "ge" is_ge ">=" is_ge "in" is_in "lower" is_lower
        "upper" is_upper "startingwith" is_startingwith "endingwith" is_endingwith
    };
    for (name, function) in compares {
        env.add_test(name, move |state: &mut State, args: Rest<Value>| {
            args.iter().try_for_each(compared)?;
            Ok::<_, Error>(function.call(state, &args)?.is_true())
        });
    }
}

/// Looks at a value of which one place or the length is asked for: texts are counted through for it, lists know.
fn counted(value: &Value) -> Result<(), Error> {
    if value.as_str().is_some() { shallow(value) } else { Ok(()) }
}

/// `value[start:stop:step]` as Python has it: minijinja goes one too far with a negative step, panics on what is empty, and nests
/// what it slices again and again.
fn slice(value: &Value, start: Option<i64>, stop: Option<i64>, step: Option<i64>) -> Result<Value, Error> {
    shallow(value)?;
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(refused("cannot slice by step size of 0"));
    }
    if let Some(text) = value.as_str() {
        let characters: Vec<char> = text.chars().collect();
        return Ok(Value::from(
            sliced(characters.len(), start, stop, step).map(|at| characters[at]).collect::<String>(),
        ));
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(Value::from(Vec::<Value>::new())),
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            fits(items.len(), ITEMS, A_LIST)?;
            let taken: Vec<Value> = sliced(items.len(), start, stop, step).map(|at| items[at].clone()).collect();
            Ok(if value.is_tuple() { Value::from(Tuple::from(taken)) } else { Value::from(taken) })
        }
        kind => Err(refused(format!("value of type {kind} cannot be sliced"))),
    }
}

/// Places of a slice, as `PySlice_AdjustIndices` counts them.
fn sliced(length: usize, start: Option<i64>, stop: Option<i64>, step: i64) -> impl Iterator<Item = usize> {
    let (length, forward) = (length as i64, step > 0);
    let (first, last) = if forward { (0, length) } else { (-1, length - 1) };
    let place = |bound: i64| (if bound < 0 { bound.saturating_add(length) } else { bound }).clamp(first, last);
    let start = start.map_or(if forward { first } else { last }, place);
    let stop = stop.map_or(if forward { last } else { first }, place);
    std::iter::successors(Some(start), move |at| at.checked_add(step))
        .take_while(move |at| if forward { *at < stop } else { *at > stop })
        .map(|at| at as usize)
}

/// Looks at a value that is compared: a text as a whole, a list or a map with all that is in it.
fn compared(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Map => deep(value, None).map(|_| ()),
        _ => shallow(value),
    }
}

/// Adds a filter whose arguments and result are held to the bounds.
pub(super) fn filter(env: &mut Environment<'static>, name: &'static str, function: Value) {
    env.add_filter(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
        let args = args.into_values();
        check(name, &args)?;
        let result = function.call(state, &args)?;
        shallow(&result)?;
        Ok::<_, Error>(result)
    });
}

/// Calls a method whose value, arguments and result are held to the bounds.
pub fn method(
    value: &Value,
    name: &str,
    args: &[Value],
    call: impl FnOnce() -> Result<Value, Error>,
) -> Result<Value, Error> {
    // What is joined is the argument here.
    let all: Vec<Value> = match (name, args) {
        ("join", [items, ..]) => vec![items.clone(), value.clone()],
        _ => std::iter::once(value).chain(args).cloned().collect(),
    };
    check(name, &all)?;
    let result = call()?;
    shallow(&result)?;
    Ok(result)
}

/// Looks at the arguments of a filter or method: whether it may be called, in so far as that is not known by its result.
fn check(name: &str, args: &[Value]) -> Result<(), Error> {
    args.iter().try_for_each(if ["length", "count", "first", "last"].contains(&name) { counted } else { shallow })?;
    let text = |at: usize| args.get(at).and_then(Value::as_str);
    let number = |at: usize| args.get(at).and_then(Value::as_usize).unwrap_or(0);
    let Some(value) = args.first() else { return Ok(()) };
    let printed = |value: &Value| value.as_str().map_or_else(|| deep(value, None), |text| Ok(text.len()));
    match name {
        "replace" => {
            let (bytes, old, new) = (printed(value)?, text(1).unwrap_or_default(), text(2).unwrap_or_default());
            let count = value.as_str().map_or(bytes, |text| text.matches(old).count());
            fits(bytes.saturating_add(count.saturating_mul(new.len())), TEXT, A_TEXT)
        }
        "join" => {
            let (bytes, items) = (deep(value, None)?, value.len().unwrap_or(0));
            fits(bytes.saturating_add(items.saturating_mul(text(1).map_or(0, str::len))), TEXT, A_TEXT)
        }
        "indent" => {
            let (bytes, width) = (printed(value)?, text(1).map_or_else(|| number(1), str::len));
            fits(width, WIDTH, A_WIDTH)?;
            let lines = 1 + value.as_str().map_or(0, |text| text.matches('\n').count());
            fits(bytes.saturating_add(lines.saturating_mul(width)), TEXT, A_TEXT)
        }
        "format" => widths(value.as_str().unwrap_or_default(), args),
        "batch" | "slice" => fits(number(1), WIDTH, A_LIST),
        "center" | "ljust" | "rjust" | "zfill" | "expandtabs" => fits(number(1), WIDTH, A_WIDTH),
        "string" | "lower" | "upper" | "title" | "capitalize" | "trim" | "urlencode" | "pprint" | "escape" | "e"
        | "wordcount" | "tojson" | "sort" | "unique" | "groupby" | "dictsort" | "min" | "max" | "sum"
        | "raise_exception" => deep(value, None).map(|_| ()),
        _ => Ok(()),
    }
}

/// Widths and precisions of a format, in digits or given as numbers, and what is put into it.
fn widths(format: &str, args: &[Value]) -> Result<(), Error> {
    let digits = format.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let given = args.iter().filter(|_| format.contains('*')).filter_map(Value::as_usize);
    let widest = digits.map(|digits| digits.parse().unwrap_or(usize::MAX)).chain(given).max().unwrap_or(0);
    fits(widest, WIDTH, A_WIDTH)?;
    let bytes = args.iter().map(|arg| deep(arg, None)).sum::<Result<usize, Error>>()?;
    // One value may be put in many times.
    let places = format.matches(['%', '{']).count();
    fits(places.saturating_mul(bytes.max(widest)), TEXT, A_TEXT)
}

/// How long a text or list is.
fn length(value: &Value) -> Option<usize> {
    match value.kind() {
        ValueKind::String => value.as_str().map(str::len),
        ValueKind::Seq | ValueKind::Iterable => value.len(),
        _ => None,
    }
}

fn right_factor(value: &Value) -> Result<(), Error> {
    shallow(value)?;
    let left = FACTORS.with_borrow_mut(Vec::pop).flatten();
    let (text, times) = match (left, length(value)) {
        (Some(left), _) => (left, value.as_usize()),
        // A number before a text is not at hand here: minijinja itself makes at most a hundred million of it.
        (None, Some(right)) => (right, None),
        (None, None) => {
            PRODUCT.set(None);
            return Ok(());
        }
    };
    let product = text.saturating_mul(times.unwrap_or(1));
    PRODUCT.set(Some(product));
    fits(product, TEXT, ("a text or list", "bytes or items"))
}

/// Takes note of what is printed.
///
/// # Errors
/// More than a template may print.
pub fn print(bytes: usize) -> Result<(), Error> {
    work(bytes)?;
    let [left, printed] = LEFT.get();
    LEFT.set([left, printed.saturating_sub(bytes)]);
    if bytes <= printed { Ok(()) } else { Err(refused(format!("the template prints more than {PRINTED} bytes"))) }
}

/// Takes note of a value that is printed, and looks whether that ends.
///
/// # Errors
/// A value that is nested without end, or more than a template may print.
pub fn print_value(value: &Value) -> Result<(), Error> {
    print(deep(value, None)?)
}

/// The text of a template.
///
/// # Errors
/// Those of minijinja; more than a bound allows.
pub fn render(template: &Template<'_, '_>, context: Value) -> Result<String, Error> {
    struct Bounded(Vec<u8>);
    impl io::Write for Bounded {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.len() + bytes.len() > PRINTED {
                return Err(io::Error::other(refused(format!("the template prints more than {PRINTED} bytes"))));
            }
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    LEFT.set([WORK, PRINTED]);
    FACTORS.with_borrow_mut(Vec::clear);
    PRODUCT.set(None);
    let mut out = Bounded(Vec::new());
    template.render_captured_to(context, &mut out)?;
    String::from_utf8(out.0).map_err(|_| refused("the template prints what is no text"))
}
