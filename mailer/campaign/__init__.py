"""The main path, step by step. Read `plan` (list, letter, every message once), `send`, `run`, `line`, in this order.

1. contacts.read         rows -> Contacts, problems                     plan.py
2. suppression.screen    duplicates and suppressed addresses leave      plan.py
3. merge + mime          every message is rendered once                 plan.py
4. ledger.start          one Delivery per address, one transaction      send.py, freeze()
5. Backlog.take          the next delivery that may go                  backlog.py
6. Connection.transmit   one transaction a message, under pace          line.py
7. decide -> Record      classified, decided, durable                   line.py, decide.py
8. conclude              where the campaign stands                      send.py
"""
