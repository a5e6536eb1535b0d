// Runs a health check for Argo CD as Argo CD runs one: the same Lua engine, the object as the global
// table `obj`, no library but those that Argo CD opens for a check of argocd-cm, one second of time,
// and a table with `status` and `message` as the result.
//
// Argument: the script's file. stdin: one JSON object a line; stdout: one line
// {"status": …, "message": …} for each, or {"error": …}.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
)

const (
	longestLine = 4 << 20
	patience    = time.Second
)

type health struct {
	Status  string `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
	Error   string `json:"error,omitempty"`
}

var known = map[string]bool{
	"Healthy": true, "Progressing": true, "Degraded": true, "Suspended": true, "Missing": true, "Unknown": true,
}

func main() {
	script, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var object map[string]any
		if err := json.Unmarshal(lines.Bytes(), &object); err != nil {
			log.Fatal(err)
		}
		result, err := check(string(script), object)
		if err != nil {
			result = health{Error: err.Error()}
		}
		if err := answers.Encode(result); err != nil {
			log.Fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}

func check(script string, object map[string]any) (health, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	open := map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable,
	}
	// In this order: the others register themselves with the first.
	for _, name := range []string{lua.LoadLibName, lua.BaseLibName, lua.TabLibName} {
		call := lua.P{Fn: state.NewFunction(open[name]), Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return health{}, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", asLua(state, object))
	if err := state.DoString(script); err != nil {
		return health{}, err
	}
	answer, isTable := state.Get(-1).(*lua.LTable)
	if !isTable {
		return health{}, fmt.Errorf("the script returned a %s, not a table", state.Get(-1).Type())
	}
	return read(answer)
}

func read(answer *lua.LTable) (health, error) {
	status, message := answer.RawGetString("status"), answer.RawGetString("message")
	if !known[status.String()] {
		return health{}, fmt.Errorf("%s is no health status of Argo CD", status)
	}
	if message.Type() != lua.LTNil && message.Type() != lua.LTString {
		return health{}, fmt.Errorf("the message is a %s", message.Type())
	}
	result := health{Status: status.String()}
	if message.Type() == lua.LTString {
		result.Message = message.String()
	}
	return result, nil
}

func asLua(state *lua.LState, value any) lua.LValue {
	switch given := value.(type) {
	case bool:
		return lua.LBool(given)
	case float64:
		return lua.LNumber(given)
	case string:
		return lua.LString(given)
	case []any:
		list := state.CreateTable(len(given), 0)
		for _, each := range given {
			list.Append(asLua(state, each))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(given))
		for name, each := range given {
			table.RawSetString(name, asLua(state, each))
		}
		return table
	}
	return lua.LNil
}
