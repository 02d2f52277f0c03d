//! Markdown, as the book's pages need it.

/// Text for a table's cell: on one line, with nothing in it that Markdown would take for markup, apart from code spans.
pub(super) fn cell(text: &str) -> String {
    let mut cell = String::new();
    let mut code = false;
    for character in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        code ^= character == '`';
        match character {
            '|' => cell.push_str("\\|"),
            '<' if !code => cell.push_str("&lt;"),
            '_' | '*' | '[' | ']' if !code => cell.extend(['\\', character]),
            _ => cell.push(character),
        }
    }
    cell
}

/// A table, or nothing where there are no rows.
pub(super) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let line = |cells: [&str; N]| format!("| {} |\n", cells.join(" | "));
    let mut table = line(heading) + &line(["---"; N]);
    for row in rows {
        table += &line(row.each_ref().map(String::as_str));
    }
    table + "\n"
}

#[test]
fn what_markdown_would_interpret_stays_text() {
    assert_eq!(cell("a | b"), r"a \| b");
    assert_eq!(cell("_2_ and\n  `_3_` <x>"), r"\_2\_ and `_3_` &lt;x>");
}
