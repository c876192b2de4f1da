"""What is loaded where, and why. The engine decides, as a function of (state, event, clock); the rest carries it out.

    manager    owns an engine: who asks it for a lease waits here     effects    workers started, measured, ended
    engine     events in, actions out                                 events     their vocabulary
    residents  what is charged, and the steps of its life             keep_alive when it goes unasked
    copies     which versions sit on several devices                  rules      what holds for which model
    line       who waits for which version, in what order             placement  on which device a newcomer goes
    eviction   who goes for it, under which rules                     policies   what a resident is worth
    breaker    versions that fail to load                             ledger     what stands on a device, in bytes
    devices    the devices there are, and their own figures           sizing, measurements    what a version takes
    gpus       what others leave of a GPU, and whether it answers     history    what its workers took so far
    ways       with which engine a version is loaded, how precisely
    view       all of it, for people to see                           journal    what was decided of late, and why

The life of a predictor. Its bytes are charged from Start to Gone: predicted at first (the peak of its load), then as
measured. The first load of a version warms it up before it is READY, which measures it; later ones that somebody waits
for are READY at once, charged what was measured then, and warm up while nobody asks.

                              Loaded                       its room is wanted, or its time is up,
             Start         breaker closed                  and nobody holds a lease
    (absent) ─────▶ LOADING ────────────▶ READY ──────────────────────────────────────▶ STOPPING ──Gone──▶ (absent)
       ▲               │                  │   ▲                                          ▲  ▲  ▲
       │               │   its room is    │   │ whoever wanted                           │  │  │
       │               │   wanted and its ▼   │ the room has left                        │  │  │
       │               │   turn is over  DRAINING ───── the last lease is back ──────────┘  │  │
       │               │                  serves who is in, takes nobody new                │  │
       │               ├── nobody waits for it any more ────────────────────────────────────┘  │
       │               └── LoadBroke: memory short or worker dead: once more; else breaker ────┘
       └── a crash goes from any state to STOPPING: Exited, and then Gone when the device shows the memory free;
           so does the loss of its device, after which the CPU may stand in (`is_degraded`) until the device is back

Who stood in for a device that is back, or is loaded otherwise than its rules have it by now, drains for good.

What a newcomer that lacks room may count on, in this order: bytes that are free; bytes that are coming back; copies;
idle residents, the least worth first and no more than it takes; and after `turn_s` those in demand. Never: what is
pinned, what is guaranteed to another tenant, what has a lease.

A copy is one more predictor of a version that is crowded, on a device of its own:

                  Start, for a version that has been         its version's own predictor
                  crowded for `copies_after_s`               stops, drains or dies
    (absent) ──────────────────────────────────────▶ a copy ────────────────────────────▶ the version's own
       ▲                                                │
       └── its room is wanted, though it is in use or still loading; it was idle for `copies_after_s`; its load broke

It goes through the states above, but for three things: nobody waits for it, it has neither turn nor protection, and its
failures count against that version on that device alone. It comes where nobody waits for room: into free bytes, or in
the place of who is idle, was so all the time that its version was crowded and for ten loads, and is worth less.
"""
