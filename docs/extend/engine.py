#!/usr/bin/env python3
"""An engine for essaim in 30 lines: it says the user's words backwards, and embeds a text by its letters."""
import json, sys, threading

MODELS = [{"name": "backwards-1", "kind": "text.chat", "min_steps": 1, "max_steps": 100, "steps": 50},
          {"name": "letters-1", "kind": "text.embed"}]
lock, cancelled = threading.Lock(), set()

def say(**line):
    with lock:
        print(json.dumps(line), flush=True)

def run(r):
    if r["model"] == "letters-1":
        vector = [float(r["prompt"].lower().count(c)) for c in "abcdefghijklmnopqrstuvwxyz "] + [1.0]
        return say(id=r["id"], result={"embedding": vector, "read": len(r["prompt"].split())})
    words = r["messages"][-1]["content"].split()[::-1]
    written = 0
    for written, word in enumerate(words[:r["steps"]], 1):
        if r["id"] in cancelled:
            return say(id=r["id"], error={"kind": "cancelled"})
        say(id=r["id"], text=word if written == 1 else " " + word)
    finish = "length" if written < len(words) else "stop"
    say(id=r["id"], result={"finish": finish, "read": len(words), "written": written})

for line in sys.stdin:
    r = json.loads(line)
    if r["method"] == "models":
        say(id=r["id"], models=MODELS)
    elif r["method"] == "cancel":
        cancelled.add(r["id"])
    else:
        threading.Thread(target=run, args=(r,), daemon=True).start()
