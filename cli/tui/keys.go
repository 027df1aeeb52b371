package tui

import (
	"slices"
	"strings"
)

// action is what a key stands for. Screens are told actions, never keys.
type action string

const (
	actNone     action = ""
	actUp       action = "up"
	actDown     action = "down"
	actPageUp   action = "page up"
	actPageDown action = "page down"
	actTop      action = "top"
	actBottom   action = "bottom"
	actLeft     action = "left"
	actRight    action = "right"
	actEnter    action = "enter"
	actBack     action = "back"
	actQuit     action = "quit"
	actStop     action = "interrupt"
	actSuspend  action = "suspend"
	actHelp     action = "help"
	actGo       action = "go"
	actFilter   action = "filter"
	actCopy     action = "copy"
	actCommands action = "commands"
	actEnvs     action = "environments"
	actSpaces   action = "namespaces"
	actMouse    action = "mouse"
	actMark     action = "mark"
	actNext     action = "next part"
	actLogs     action = "logs"
	actPrevious action = "previous logs"
	actDescribe action = "describe"
	actJournal  action = "journal"
	actReleases action = "releases"
	actRollback action = "rollback"
	actScale    action = "scale"
	actRestart  action = "restart"
	actUndo     action = "undo"
	actKill     action = "kill"
	actFollow   action = "follow"
	actWrap     action = "wrap"
	actTimes    action = "times"
	actClear    action = "clear"
	actEdit     action = "edit"
	actUnset    action = "unset"
	actDefault  action = "default"
	actSend     action = "send"
	actFinish   action = "finish"
	actCancel   action = "cancel"
	actAs       action = "as"
	actPast     action = "past"
)

// Key is a key and what it does.
type Key struct {
	// Keys are the names of the keys that do it, the one that is shown first.
	Keys []string
	// Label is one word for the footer; empty: it is not shown there.
	Label string
	// Help is what it does, as a phrase.
	Help string
	// Changes: it changes something on the server.
	Changes bool

	action action
}

// KeyGroup is what keys do in one place.
type KeyGroup struct {
	// Title is the name of the screen that they are of, or of what they are for.
	Title string
	Keys  []Key

	places  []string // screens that have them
	travels bool     // they lead to other screens
}

// KeyMap returns what every key does. It is all there is: the footer, the help page and
// the documentation are made from it, and a key that is not in it does nothing.
func KeyMap() []KeyGroup {
	return []KeyGroup{
		{Title: "Everywhere", Keys: []Key{
			{Keys: []string{"?", "f1"}, Label: "help", Help: "show what keys do here", action: actHelp},
			{Keys: []string{"esc", "backspace"}, Label: "back", Help: "end the filter, or go back to the screen before", action: actBack},
			{Keys: []string{"y"}, Help: "copy the row, the line or the command, also over ssh", action: actCopy},
			{Keys: []string{"M"}, Help: "scroll with the mouse wheel, or leave the mouse to the terminal", action: actMouse},
			{Keys: []string{"q"}, Help: "quit", action: actQuit},
			{Keys: []string{"ctrl+c"}, Help: "interrupt, which is exit code 130 but for micro dev", action: actStop},
			{Keys: []string{"ctrl+z"}, Help: "suspend; fg brings it back", action: actSuspend},
		}},
		{Title: "Going elsewhere", travels: true, Keys: []Key{
			{Keys: []string{":"}, Label: "go", Help: "go to a screen by its name; Tab completes", action: actGo},
			{Keys: []string{"e"}, Help: "choose the environment", action: actEnvs},
			{Keys: []string{"n"}, Help: "choose the namespace", action: actSpaces},
			{Keys: []string{"@"}, Help: "show the commands that were run here", action: actCommands},
		}},
		{Title: "Moving", Keys: []Key{
			{Keys: []string{"up", "k"}, Help: "up", action: actUp},
			{Keys: []string{"down", "j"}, Help: "down", action: actDown},
			{Keys: []string{"pgup", "ctrl+b"}, Help: "a page up", action: actPageUp},
			{Keys: []string{"pgdown", "ctrl+f", "space"}, Help: "a page down", action: actPageDown},
			{Keys: []string{"home", "g"}, Help: "to the beginning", action: actTop},
			{Keys: []string{"end", "G"}, Help: "to the end", action: actBottom},
		}},
		{Title: "Lists and lines", places: []string{placeServices, placeService, placeLogs, placeEnvs, placeSpaces, placeText, placeReleases, placeList, placePick, placeCall, placeAs}, Keys: []Key{
			{Keys: []string{"/"}, Label: "filter", Help: "show what matches; with ! before it, what does not", action: actFilter},
		}},
		{Title: "Any service", places: []string{placeServices, placeService}, Keys: []Key{
			{Keys: []string{"d"}, Label: "describe", Help: "show all that is known of the service", action: actDescribe},
			{Keys: []string{"o"}, Label: "journal", Help: "show what the server did with the service, and why", action: actJournal},
			{Keys: []string{"v"}, Label: "releases", Help: "show the releases of the service, and go back to one", action: actReleases},
			{Keys: []string{"s"}, Label: "scale", Help: "change how many instances run", Changes: true, action: actScale},
			{Keys: []string{"r"}, Label: "restart", Help: "replace the instances one by one", Changes: true, action: actRestart},
			{Keys: []string{"u"}, Label: "undo", Help: "take back what was changed last", Changes: true, action: actUndo},
			{Keys: []string{"ctrl+d"}, Label: "kill", Help: "stop the service for good", Changes: true, action: actKill},
		}},
		{Title: "Services", places: []string{placeServices}, Keys: []Key{
			{Keys: []string{"enter"}, Label: "open", Help: "show the service", action: actEnter},
			{Keys: []string{"l"}, Label: "logs", Help: "show the logs of the marked services, or of the chosen one", action: actLogs},
			{Keys: []string{"m"}, Help: "mark the service, for logs of several", action: actMark},
		}},
		{Title: "Service", places: []string{placeService}, Keys: []Key{
			{Keys: []string{"enter", "l"}, Label: "logs", Help: "show the logs of the chosen instance, or of all", action: actLogs},
			{Keys: []string{"p"}, Label: "previous", Help: "show what the chosen instance wrote before it was started last", action: actPrevious},
			{Keys: []string{"tab"}, Label: "next", Help: "go to the next part of the screen", action: actNext},
		}},
		{Title: "Releases", places: []string{placeReleases}, Keys: []Key{
			{Keys: []string{"b", "enter"}, Label: "back to it", Help: "make the chosen release current again", Changes: true, action: actRollback},
		}},
		{Title: "Events, store and config", places: []string{placeList}, Keys: []Key{
			{Keys: []string{"enter"}, Label: "open", Help: "open the chosen row", action: actEnter},
		}},
		{Title: "Logs and texts", places: []string{placeLogs, placeText}, Keys: []Key{
			{Keys: []string{"left", "h"}, Help: "to the left", action: actLeft},
			{Keys: []string{"right"}, Help: "to the right", action: actRight},
			{Keys: []string{"w"}, Label: "wrap", Help: "wrap long lines", action: actWrap},
		}},
		{Title: "Logs, journal and events", places: []string{placeLogs}, Keys: []Key{
			{Keys: []string{"f", "s"}, Label: "follow", Help: "follow again, or stay where it is", action: actFollow},
			{Keys: []string{"t"}, Label: "times", Help: "show when each line was written", action: actTimes},
			{Keys: []string{"c"}, Label: "clear", Help: "leave out what is there already", action: actClear},
		}},
		{Title: "Environments and namespaces", places: []string{placeEnvs, placeSpaces}, Keys: []Key{
			{Keys: []string{"enter"}, Label: "choose", Help: "work there, until the program ends", action: actEnter},
		}},
		{Title: "Choosing", places: []string{placePick}, Keys: []Key{
			{Keys: []string{"enter"}, Label: "choose", Help: "take the chosen row; what is typed behind / filters them", action: actEnter},
			{Keys: []string{"p"}, Label: "past", Help: "choose an earlier call, to make it again or to change it", action: actPast},
		}},
		{Title: "The call in other languages", places: []string{placeAs}, Keys: []Key{
			{Keys: []string{"y"}, Label: "copy", Help: "copy the call in the chosen language, also over ssh", action: actCopy},
		}},
		{Title: "The request and its answer", places: []string{placeCall}, Keys: []Key{
			{Keys: []string{"f"}, Label: "finish", Help: "end the requests of a stream", action: actFinish},
			{Keys: []string{"ctrl+x"}, Label: "cancel", Help: "cancel the call", action: actCancel},
			{Keys: []string{"left", "h"}, Help: "hide what is below the field; in texts, to the left", action: actLeft},
			{Keys: []string{"right"}, Help: "show what is below the field; in texts, to the right", action: actRight},
			{Keys: []string{"w"}, Help: "wrap long lines of the answer", action: actWrap},
			{Keys: []string{"m"}, Label: "lines", Help: "edit the text or the JSON of the field in several lines", action: actEdit},
			{Keys: []string{"d"}, Label: "default", Help: "set the field to its default, which is more than not to set it", action: actDefault},
			{Keys: []string{"p"}, Label: "past", Help: "choose an earlier call, to make it again or to change it", action: actPast},
			{Keys: []string{"c"}, Label: "as", Help: "show the call as a micro command, grpcurl, curl, Go, Python and TypeScript", action: actAs},
		}},
		{Title: "Call", places: []string{placeCall}, Keys: []Key{
			{Keys: []string{"s", "ctrl+s"}, Label: "send", Help: "send the request; one more of a stream", Changes: true, action: actSend},
			{Keys: []string{"enter"}, Label: "edit", Help: "edit the field, choose its value, open the message, add an element or an entry", action: actEnter},
			{Keys: []string{"x", "delete"}, Label: "unset", Help: "take the field, the element or the entry out of the request", action: actUnset},
			{Keys: []string{"tab"}, Label: "next", Help: "go to the JSON, to the answer, and back to the form", action: actNext},
		}},
	}
}

// DashboardKeys returns what keys do in the dashboard.
func DashboardKeys() []KeyGroup {
	return keysOf(placeServices, placeService, placeLogs, placeEnvs, placeSpaces, placeText, placeReleases, placeList)
}

// FormKeys returns what keys do where calls are filled in.
func FormKeys() []KeyGroup {
	return keysOf(placePick, placeCall, placeAs, placeEnvs, placeSpaces, placeText)
}

// keysOf returns the keys of any of some screens.
func keysOf(places ...string) []KeyGroup {
	return slices.DeleteFunc(KeyMap(), func(g KeyGroup) bool { return !slices.ContainsFunc(places, g.here) })
}

// here reports whether the keys of a group are those of a screen.
func (g KeyGroup) here(place string) bool {
	return len(g.places) == 0 || slices.Contains(g.places, place)
}

// find returns what a key does on a screen: what is special there goes before what it
// does everywhere.
func find(groups []KeyGroup, place, key string) (Key, bool) {
	for _, g := range slices.Backward(groups) {
		if !g.here(place) {
			continue
		}
		for _, k := range g.Keys {
			if slices.Contains(k.Keys, key) {
				return k, true
			}
		}
	}
	return Key{}, false
}

// footer returns the keys of a screen with a label, those of its own first.
func footer(groups []KeyGroup, place string, readOnly bool) []Key {
	var keys []Key
	for _, g := range slices.Backward(groups) {
		if !g.here(place) {
			continue
		}
		for _, k := range g.Keys {
			if k.Label != "" && (!k.Changes || !readOnly) {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// Names returns how the keys are written for people.
func (k Key) Names() string {
	var names []string
	for _, key := range k.Keys {
		names = append(names, keyName(key))
	}
	return strings.Join(names, ", ")
}

// keyName returns how a key is written for people.
func keyName(key string) string {
	switch key {
	case "esc", "enter", "tab", "space", "home", "end", "up", "down", "left", "right", "backspace", "delete", "f1":
		return strings.ToUpper(key[:1]) + key[1:]
	case "pgup":
		return "PgUp"
	case "pgdown":
		return "PgDn"
	}
	if c, ok := strings.CutPrefix(key, "ctrl+"); ok {
		return "Ctrl-" + strings.ToUpper(c)
	}
	return key
}
