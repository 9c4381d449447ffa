package testcontainers

import "testing"

func TestMain(m *testing.M) { Run(m) }

func TestX(t *testing.T) {
	t.Log(Database(t))
}
