//! A value as it was written, before anybody knows what it should be.

use toml::de::DeValue;
use zeroize::Zeroizing;

use super::mistake::Refusal;

/// A value with as much of a type as its source has. No `Debug`: it may be a secret.
pub(super) enum Raw {
    /// From the environment or a flag, where everything is text and a list has commas.
    Loose(Zeroizing<String>),
    /// A TOML string.
    String(Zeroizing<String>),
    /// A TOML integer, in decimal digits.
    Integer(String),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML array of strings, or the lines of a file.
    List(Vec<Zeroizing<String>>),
    /// A TOML table, in the order of its names; `None` for what is no string.
    Table(Vec<(String, Option<Zeroizing<String>>)>),
    /// Something that no key takes, with its article.
    Other(&'static str),
}

impl Raw {
    pub(super) fn loose(text: impl Into<String>) -> Self {
        Self::Loose(Zeroizing::new(text.into()))
    }

    pub(super) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::String(Zeroizing::new(text.to_string())),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Self::Other("is a number that is too large"), |number| Self::Integer(number.to_string())),
            DeValue::Float(_) => Self::Other("is a number with a fraction"),
            DeValue::Boolean(on) => Self::Boolean(*on),
            DeValue::Datetime(_) => Self::Other("is a date"),
            DeValue::Table(table) => {
                let text = |value: &DeValue<'_>| value.as_str().map(|text| Zeroizing::new(text.to_owned()));
                Self::Table(
                    table.iter().map(|(name, value)| (name.get_ref().to_string(), text(value.get_ref()))).collect(),
                )
            }
            DeValue::Array(items) => items
                .iter()
                .map(|item| item.get_ref().as_str().map(|text| Zeroizing::new(text.to_owned())))
                .collect::<Option<_>>()
                .map_or(Self::Other("is a list of something other than strings"), Self::List),
        }
    }

    /// The text, without white space around it.
    pub(super) fn text(&self) -> Result<&str, Refusal> {
        match self {
            Self::Loose(text) | Self::String(text) => match text.trim() {
                "" => Err(Refusal::unseen("is empty")),
                text => Ok(text),
            },
            _ => Err(self.wrong_type()),
        }
    }

    /// The digits of a whole number.
    pub(super) fn digits(&self) -> Result<&str, Refusal> {
        match self {
            Self::Loose(_) => self.text(),
            Self::Integer(digits) => Ok(digits),
            _ => Err(self.wrong_type()),
        }
    }

    /// True or false.
    pub(super) fn switch(&self) -> Result<bool, Refusal> {
        match self {
            Self::Loose(_) => {
                let text = self.text()?;
                text.parse().map_err(|_| Refusal::of(text, "is neither true nor false"))
            }
            Self::Boolean(on) => Ok(*on),
            _ => Err(self.wrong_type()),
        }
    }

    /// The items of a list, without white space around them and without empty ones.
    pub(super) fn items(&self) -> Result<Vec<&str>, Refusal> {
        let trimmed = |item: &'_ str| -> bool { !item.is_empty() };
        match self {
            Self::Loose(text) => Ok(text.split(',').map(str::trim).filter(|item| trimmed(item)).collect()),
            Self::List(items) => Ok(items.iter().map(|item| item.trim()).filter(|item| trimmed(item)).collect()),
            _ => Err(self.wrong_type()),
        }
    }

    /// Names and values of a table of strings, without white space around the values.
    pub(super) fn pairs(&self) -> Result<Vec<(&str, &str)>, Refusal> {
        let Self::Table(pairs) = self else { return Err(self.wrong_type()) };
        let text = |(name, value): &'_ (String, Option<Zeroizing<String>>)| match value {
            Some(_) => Ok(()),
            None => Err(Refusal::of(name, "has a value that is not a string")),
        };
        pairs.iter().try_for_each(text)?;
        Ok(pairs.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_ref()?.trim()))).collect())
    }

    /// Refuses a value for being of another type than its key.
    pub(super) fn wrong_type(&self) -> Refusal {
        Refusal::unseen(match self {
            Self::Loose(_) | Self::String(_) => "is a string",
            Self::Integer(_) => "is a number",
            Self::Boolean(_) => "is a boolean",
            Self::List(_) => "is a list",
            Self::Table(_) => "is a table",
            Self::Other(what) => what,
        })
    }
}
