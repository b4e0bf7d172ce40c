package verify

// TableText is a definition as SHOW CREATE TABLE of MySQL and MariaDB prints it, taken apart.
type TableText struct {
	Columns []ColumnText
	Parts   []PartText // keys and constraints
}

// ColumnText is a column: its name, all that follows it, and whether its values are computed.
type ColumnText struct {
	Name, Text string
	Generated  bool
}

// PartText is a key or a constraint: its kind as in Object, its name and what stands behind ADD.
type PartText struct{ Kind, Name, Text string }

// SplitText takes the text of SHOW CREATE TABLE apart.
func SplitText(text string) (TableText, error) {
	m, err := splitMySQL(text)
	var out TableText
	for _, c := range m.columns {
		out.Columns = append(out.Columns, ColumnText{Name: c.name, Text: c.text, Generated: c.generated})
	}
	for _, e := range m.elements {
		out.Parts = append(out.Parts, PartText{Kind: e.kind, Name: e.name, Text: e.text})
	}
	return out, err
}
