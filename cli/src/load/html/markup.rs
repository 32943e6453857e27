//! HTML as text.

/// Text as it may stand in an element or in a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            control if control.is_control() => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

/// An element of a class, with content that is HTML already.
pub(super) fn tag(name: &str, class: &str, content: &str) -> String {
    format!("<{name} class=\"{class}\">{content}</{name}>\n")
}

/// A table with its heading, whose first column names its rows. All texts are HTML already.
pub(super) fn table(caption: &str, heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut html = format!("<table aria-label=\"{caption}\">\n<thead><tr>");
    for head in heads {
        html.push_str(&format!("<th scope=\"col\">{head}</th>"));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            html.push_str(&match column {
                0 => format!("<th scope=\"row\">{cell}</th>"),
                _ => format!("<td>{cell}</td>"),
            });
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n");
    // Where it is wider than the screen it is scrolled, by the keyboard too; its heading is not.
    format!(
        "<h2>{caption}</h2>\n<div class=\"wide\" role=\"region\" aria-label=\"{caption}\" \
         tabindex=\"0\">\n{html}</div>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_comes_from_elsewhere_is_markup() {
        let text = "<script>alert(\"x\")</script> & 'y'\u{1b}[31m";
        let safe =
            "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; &#39;y&#39;\u{fffd}[31m";
        assert_eq!(escaped(text), safe);
    }
}
