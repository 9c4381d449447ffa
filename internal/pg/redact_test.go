package pg

import "testing"

func TestRedactDSNHidesEveryPassword(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                "",
		"postgres://app@db1/shop":         "postgres://app@db1/shop",
		"postgres://app:geheim@db1/shop":  "postgres://app:***@db1/shop",
		"postgresql://app:ge:heim@db1":    "postgresql://app:***@db1",
		"postgres://app:g@h@db1:5432/x":   "postgres://app:***@db1:5432/x",
		"postgres://app:g/h?i@db1:5432/x": "postgres://app:***@db1:5432/x",
		"postgres://app:1/h@db1/x":        "postgres://app:***@db1/x",
		"postgres://app:g#h@db1/x":        "postgres://app:***@db1/x",
		"postgres://db1/x?user=a&password=geheim&sslmode=require": "postgres://db1/x?user=a&password=***&sslmode=require",
		"postgres://a:b@h1:1,h2:2/x?application_name=c@d":         "postgres://a:***@h1:1,h2:2/x?application_name=c@d",
		"postgres://db1/x?sslpassword=geheim":                     "postgres://db1/x?sslpassword=***",
		"host=db1 password=geheim user=app":                       "host=db1 password=*** user=app",
		`host=db1 password='ge h\'eim' user=app`:                  "host=db1 password=*** user=app",
		`password = ge\ heim user=app`:                            "password = *** user=app",
		"host=db1 PASSWORD='open end":                             "host=db1 PASSWORD=***",
		"host=db1 passfile=/x sslpassword=geheim":                 "host=db1 passfile=/x sslpassword=***",
	} {
		if got := RedactDSN(in); got != want {
			t.Errorf("RedactDSN(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRedactHidesPasswordsInsideText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "",
		`connect "postgres://a:geheim@db/x": refused; password authentication failed`: `connect "postgres://a:***@db/x": refused; password authentication failed`,
		"password=geheim host=db":                          "password=*** host=db",
		"cannot parse `host=db password='ge heim' user=x`": "cannot parse `host=db password=*** user=x`",
		"two: postgresql://a:b@c/d, (password=geheim)":     "two: postgresql://a:***@c/d, (password=***)",
		"the password = is wrong":                          "the password = *** wrong",
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWithoutPasswordKeepsTheRest(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"postgres://app@db1/shop":                          "postgres://app@db1/shop",
		"postgres://app:geheim@db1:1,db2:2/shop?sslmode=a": "postgres://app@db1:1,db2:2/shop?sslmode=a",
		"postgres://db1/x?password=geheim":                 "postgres://db1/x",
		"postgres://db1/x?password=geheim&user=app":        "postgres://db1/x?user=app",
		"host=db1 password='ge heim' user=app":             "host=db1 user=app",
		"password=geheim host=db1":                         "host=db1",
	} {
		got, had := WithoutPassword(in)
		if got != want || had != (in != want) {
			t.Errorf("withoutPassword(%q) = %q, %v, want %q", in, got, had, want)
		}
	}
}
