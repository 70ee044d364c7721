//! The list of input types that tells routines of one name apart.

/// The types of a signature: split at the commas outside parentheses and quotes.
pub fn split(signature: &str) -> Vec<&str> {
    let (mut out, mut depth, mut quoted, mut start) = (Vec::new(), 0usize, false, 0);
    for (i, c) in signature.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                out.push(signature[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    out.push(signature[start..].trim());
    out.retain(|part| !part.is_empty());
    out
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
