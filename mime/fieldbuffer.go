package mime

// fieldBuffer collects the fields of one header in memory that the next header uses again.
type fieldBuffer struct {
	text  []byte // names and values, one after another
	spans []fieldSpan
}

// fieldSpan is where the name and the value of a field begin in the text. The value ends where the
// next name begins.
type fieldSpan struct{ name, value int }

// empty returns the buffer without fields.
func (b fieldBuffer) empty() fieldBuffer {
	const most = 64 << 10 // that is kept, for headers are much smaller
	if cap(b.text) > most {
		return fieldBuffer{}
	}
	return fieldBuffer{b.text[:0], b.spans[:0]}
}

func (b *fieldBuffer) len() int { return len(b.spans) }

// begin adds a field without a value.
func (b *fieldBuffer) begin(name []byte) {
	at := len(b.text)
	b.text = append(b.text, name...)
	b.spans = append(b.spans, fieldSpan{at, len(b.text)})
}

// append appends v to the value of the last field.
func (b *fieldBuffer) append(v []byte) { b.text = append(b.text, v...) }

func (b *fieldBuffer) name(i int) []byte { return b.text[b.spans[i].name:b.spans[i].value] }

func (b *fieldBuffer) value(i int) []byte { return b.text[b.spans[i].value:b.end(i)] }

// last returns the value of the last field.
func (b *fieldBuffer) last() []byte { return b.value(len(b.spans) - 1) }

// cutLast cuts the value of the last field to n bytes.
func (b *fieldBuffer) cutLast(n int) { b.text = b.text[:b.spans[len(b.spans)-1].value+n] }

func (b *fieldBuffer) end(i int) int {
	if i+1 < len(b.spans) {
		return b.spans[i+1].name
	}
	return len(b.text)
}

// take returns the fields, which share the memory of one string.
func (b *fieldBuffer) take() []rawField {
	if len(b.spans) == 0 {
		return nil
	}
	text := string(b.text)
	fields := make([]rawField, len(b.spans))
	for i, s := range b.spans {
		value := text[s.value:b.end(i)]
		fields[i] = rawField{text[s.name:s.value], value, isPlain(value)}
	}
	return fields
}
