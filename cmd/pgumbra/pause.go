package main

import (
	"encoding/json"
	"os"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/upgrade"
)

func (a *app) pauseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pause",
		Short: "Pause the copy, from any machine; capture goes on",
		Long: `The process that leads the run stops copying after the chunks that are under way,
within a second or two, until pgumbra resume. Triggers go on recording what
clients write, so that the journals grow meanwhile. Only the copy can pause:
indexes that are being built are built, and changes are replayed as ever.`,
		Example: `  pgumbra pause
  pgumbra status`,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.setPaused(c, upgrade.PauseCopy, "The copy pauses after the chunks that are under way. Triggers go on recording, so the journals grow.\nNext: pgumbra resume"+a.planFlag())
		},
	}
}

func (a *app) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "resume",
		Short:   "Let a paused copy go on",
		Long:    `Takes back pgumbra pause: the process that leads the run copies on within a second.`,
		Example: `  pgumbra resume`,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.setPaused(c, upgrade.ResumeCopy, "The copy goes on.\nNext: pgumbra status"+a.planFlag()+" --watch")
		},
	}
}

func (a *app) setPaused(c *cobra.Command, wish upgrade.Pausing, text string) error {
	file, err := a.load()
	if err != nil {
		return err
	}
	if err := upgrade.Pause(c.Context(), file, wish); err != nil {
		return err
	}
	if wish == upgrade.PauseCopy {
		s, err := upgrade.ReadStatus(c.Context(), file)
		if err == nil && !s.Copies() {
			text = "Nothing is being copied now. A table that has to be copied again will wait.\nNext: pgumbra resume" + a.planFlag() + " takes it back"
		}
	}
	if a.json {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"run": file.Name, "paused": wish == upgrade.PauseCopy})
	}
	return say(text)
}
