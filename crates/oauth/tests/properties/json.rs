//! A JSON reader and writer, letter by letter after RFC 8259. Every member is kept, so that duplicates show.

use std::collections::BTreeSet;

/// The product reads no deeper than this.
const DEEPEST: usize = 127;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As it is spelled.
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(crate) fn number(number: impl ToString) -> Self {
        Self::Number(number.to_string())
    }

    /// `None` if it is not JSON, or not JSON that has to be understood: nested too deeply, or a number beyond `f64`.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let mut reader = Reader { rest: std::str::from_utf8(body).ok()? };
        let value = reader.value(0)?;
        reader.skip_space();
        reader.rest.is_empty().then_some(value)
    }

    pub(crate) fn has_duplicates(&self) -> bool {
        match self {
            Self::Object(members) => {
                let keys: BTreeSet<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
                keys.len() < members.len() || members.iter().any(|(_, value)| value.has_duplicates())
            }
            Self::Array(elements) => elements.iter().any(Self::has_duplicates),
            _ => false,
        }
    }

    /// How many objects it is made of, itself included.
    pub(crate) fn objects(&self) -> usize {
        match self {
            Self::Object(members) => 1 + members.iter().map(|(_, value)| value.objects()).sum::<usize>(),
            Self::Array(elements) => elements.iter().map(Self::objects).sum(),
            _ => 0,
        }
    }

    /// Puts one more member into the object number `index`, counted as they begin.
    pub(crate) fn push_into(&mut self, index: &mut usize, member: &(String, Json)) {
        match self {
            Self::Object(members) => {
                if *index == 0 {
                    members.push(member.clone());
                }
                *index = index.wrapping_sub(1);
                members.iter_mut().for_each(|(_, value)| value.push_into(index, member));
            }
            Self::Array(elements) => elements.iter_mut().for_each(|element| element.push_into(index, member)),
            _ => {}
        }
    }

    pub(crate) fn write(&self, style: &mut Style) -> String {
        let mut text = String::new();
        self.append(style, &mut text);
        text
    }

    fn append(&self, style: &mut Style, out: &mut String) {
        style.space(out);
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(bool) => out.push_str(&bool.to_string()),
            Self::Number(number) => out.push_str(number),
            Self::Text(text) => style.string(text, out),
            Self::Array(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    element.append(style, out);
                }
                style.space(out);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    style.space(out);
                    style.string(key, out);
                    style.space(out);
                    out.push(':');
                    value.append(style, out);
                }
                style.space(out);
                out.push('}');
            }
        }
        style.space(out);
    }
}

/// How JSON is spelled where the RFC leaves a choice; each choice takes the next number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Style {
    choices: Vec<u8>,
    next: usize,
}

impl Style {
    pub(crate) fn new(choices: Vec<u8>) -> Self {
        Self { choices, next: 0 }
    }

    fn choose(&mut self) -> u8 {
        let choice = self.choices.get(self.next % self.choices.len().max(1)).copied().unwrap_or_default();
        self.next += 1;
        choice
    }

    fn space(&mut self, out: &mut String) {
        out.push_str(match self.choose() % 16 {
            12 => " ",
            13 => "\n",
            14 => "\t",
            15 => " \r\n",
            _ => "",
        });
    }

    fn string(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            match (character, self.choose() % 8) {
                ('\n', 0..4) => out.push_str("\\n"),
                ('\r', 0..4) => out.push_str("\\r"),
                ('\t', 0..4) => out.push_str("\\t"),
                ('\u{8}', 0..4) => out.push_str("\\b"),
                ('\u{c}', 0..4) => out.push_str("\\f"),
                ('"' | '\\', 0..4) => out.extend(['\\', character]),
                ('/', 4..=6) => out.push_str("\\/"),
                ('\0'..' ' | '"' | '\\', _) | (_, 7) => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                _ => out.push(character),
            }
        }
        out.push('"');
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next()?;
        self.rest = characters.as_str();
        Some(next)
    }

    fn take(&mut self, wanted: &str) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        self.skip_space();
        match self.rest.chars().next()? {
            '{' => self.object(depth + 1),
            '[' => self.array(depth + 1),
            '"' => self.string().map(Json::Text),
            '-' | '0'..='9' => self.number(),
            _ if self.take("null") => Some(Json::Null),
            _ if self.take("true") => Some(Json::Bool(true)),
            _ if self.take("false") => Some(Json::Bool(false)),
            _ => None,
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        let mut members = Vec::new();
        self.elements(depth, '}', |reader| {
            reader.skip_space();
            let key = reader.string()?;
            reader.skip_space();
            let value = if reader.take(":") { reader.value(depth)? } else { return None };
            members.push((key, value));
            Some(())
        })?;
        Some(Json::Object(members))
    }

    fn array(&mut self, depth: usize) -> Option<Json> {
        let mut elements = Vec::new();
        self.elements(depth, ']', |reader| {
            elements.push(reader.value(depth)?);
            Some(())
        })?;
        Some(Json::Array(elements))
    }

    fn elements(
        &mut self,
        depth: usize,
        end: char,
        mut element: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.next(); // the bracket
        self.skip_space();
        if depth > DEEPEST {
            return None;
        }
        if self.rest.starts_with(end) {
            return self.next().map(drop);
        }
        loop {
            element(self)?;
            self.skip_space();
            match self.next()? {
                ',' => {}
                other => return (other == end).then_some(()),
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        if !self.take("\"") {
            return None;
        }
        let mut text = String::new();
        loop {
            match self.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                '\0'..' ' => return None,
                other => text.push(other),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.next()? {
            '"' => '"',
            '\\' => '\\',
            '/' => '/',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = self.utf_16_unit()?;
                let mut units = vec![first];
                if matches!(first, 0xD800..0xDC00) && self.take("\\u") {
                    units.push(self.utf_16_unit()?);
                }
                let decoded = String::from_utf16(&units).ok()?;
                decoded.chars().next()?
            }
            _ => return None,
        })
    }

    fn utf_16_unit(&mut self) -> Option<u16> {
        let digits: String = (0..4).map_while(|_| self.next()).collect();
        let is_hex = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u16::from_str_radix(&digits, 16).ok()).flatten()
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.rest;
        self.take("-");
        if !self.take("0") {
            self.digits()?;
        }
        if self.take(".") {
            self.digits()?;
        }
        if self.take("e") || self.take("E") {
            let _ = self.take("+") || self.take("-");
            self.digits()?;
        }
        let text = &start[..start.len() - self.rest.len()];
        let value: f64 = text.parse().ok()?;
        value.is_finite().then(|| Json::Number(text.to_owned()))
    }

    fn digits(&mut self) -> Option<()> {
        let rest = self.rest.trim_start_matches(|character: char| character.is_ascii_digit());
        let some = rest.len() < self.rest.len();
        self.rest = rest;
        some.then_some(())
    }
}

#[test]
fn the_reference_reads_what_it_writes() {
    let value = Json::Object(vec![
        (
            "a\"\\\u{1}\n/é😀".to_owned(),
            Json::Array(vec![Json::Null, Json::Bool(true), Json::number("-1.5e-3")]),
        ),
        (String::new(), Json::Object(vec![])),
    ]);
    for seed in 0..=255 {
        let text = value.write(&mut Style::new((0..97).map(|step: u8| step.wrapping_mul(seed)).collect()));
        assert_eq!(Json::read(text.as_bytes()), Some(value.clone()), "{text}");
    }
    for wrong in [
        "",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "--1",
        "nul",
        "[1,]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "\"\\x\"",
        "\"\t\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\\u+123\"",
        "1 2",
        "[1",
        "]",
        "\u{feff}1",
        "\u{c}1",
        "1e400",
        "NaN",
        "'a'",
        "/**/1",
    ] {
        assert_eq!(Json::read(wrong.as_bytes()), None, "{wrong}");
    }
}
