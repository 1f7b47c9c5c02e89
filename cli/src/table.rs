//! Columns of text for people: padded to their widest cell, two spaces apart, without lines.

use crate::printable;

pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Self {
        Self { rows: vec![header.map(str::to_owned).to_vec()] }
    }

    /// A table without a header, for names and values.
    pub fn plain() -> Self {
        Self { rows: Vec::new() }
    }

    /// A table whose columns are known only now.
    pub fn of_columns(header: &[&str]) -> Self {
        let mut table = Self::plain();
        table.cells(header.iter().map(|name| (*name).to_owned()).collect());
        table
    }

    pub fn row<const COLUMNS: usize>(&mut self, cells: [String; COLUMNS]) {
        self.cells(cells.to_vec());
    }

    pub fn cells(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| printable::line(cell)).collect());
    }

    pub fn render(&self) -> String {
        let widths = self.widths();
        self.rows.iter().map(|row| render_row(row, &widths)).collect()
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = Vec::new();
        for row in &self.rows {
            widths.resize(row.len().max(widths.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = chars(cell).max(*width);
            }
        }
        widths
    }
}

fn render_row(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        line.push_str(cell);
        line.push_str(&" ".repeat(width - chars(cell) + 2));
    }
    format!("{}\n", line.trim_end())
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["NAME", "VERSION"]);
        table.row(["hello".into(), "1".into()]);
        table.row(["größer-name".into(), "12".into()]);
        expect![[r#"
            NAME         VERSION
            hello        1
            größer-name  12
        "#]]
        .assert_eq(&table.render());
    }

    #[test]
    fn a_cell_cannot_leave_its_line() {
        let mut table = Table::plain();
        table.row(["a\nb".into(), "\x1b[2J".into()]);
        assert_eq!(table.render(), "a\\nb  \\x1b[2J\n");
    }
}
