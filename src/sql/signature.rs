//! The list of input types that distinguishes routines with the same name.

use super::lex;

/// The types of a signature: split at the commas outside parentheses and quotes.
pub fn split(signature: &str) -> Vec<&str> {
    lex::split(signature, ",").into_iter().filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_names_and_modifiers_do_not_split() {
        assert_eq!(split("integer, public.\"a,b\"[], numeric(1,2)"), ["integer", "public.\"a,b\"[]", "numeric(1,2)"]);
        assert!(split("").is_empty());
    }
}
