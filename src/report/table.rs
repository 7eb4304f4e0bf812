//! A plain text table: columns as wide as their widest cell, two spaces between them, no borders.

/// Rows of cells; the first row is the header.
#[derive(Default)]
pub struct TextTable {
    rows: Vec<Vec<String>>,
}

impl TextTable {
    /// Returns a table that has only a header.
    #[must_use]
    pub fn new(header: &[&str]) -> Self {
        Self {
            rows: vec![header.iter().map(ToString::to_string).collect()],
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        // A newline in a cell could pass for a row of its own.
        let shown = |cell: String| super::literal_line(&cell).into_owned();
        self.rows
            .push(cells.into_iter().map(|cell| shown(cell.into())).collect());
    }

    /// Returns the table as text; each line ends with a newline.
    #[must_use]
    pub fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| console::measure_text_width(cell))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width - console::measure_text_width(cell) + 2));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::TextTable;

    #[test]
    fn control_characters_in_a_cell_are_escaped() {
        let mut table = TextTable::new(&["HOST", "LABELS"]);
        table.row(["docker01", "a=1\nproblem: none\t\u{1b}[2J"]);
        assert_eq!(
            table.text(),
            "HOST      LABELS\ndocker01  a=1\\nproblem: none\\t\\u{1b}[2J\n"
        );
    }
}
