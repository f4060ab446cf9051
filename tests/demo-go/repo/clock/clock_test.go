package clock

import "testing"

func TestParse(t *testing.T) {
	cases := []struct {
		text string
		want Time
	}{
		{"0:00", 0},
		{"9:30", 570},
		{" 09:05 ", 545},
		{"24:00", 1440},
	}
	for _, c := range cases {
		t.Run(c.text, func(t *testing.T) {
			got, err := Parse(c.text)
			if err != nil || got != c.want {
				t.Errorf("Parse(%q) = %d, %v, want %d", c.text, got, err, c.want)
			}
		})
	}
}

func TestParseRefusesWhatIsNoTime(t *testing.T) {
	for _, text := range []string{"", "9", "9:60", "24:01", "-1:30", "noon"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", text, got)
		}
	}
}

func TestSpansThatTouchDoNotOverlap(t *testing.T) {
	morning, noon := Span{540, 720}, Span{720, 780}
	if morning.Overlaps(noon) || noon.Overlaps(morning) {
		t.Errorf("%v and %v share no minute", morning, noon)
	}
	if !morning.Overlaps(Span{719, 721}) {
		t.Errorf("%v holds 11:59", morning)
	}
}
