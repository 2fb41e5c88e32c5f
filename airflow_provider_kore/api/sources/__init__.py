"""What can be landed from Kore.ai: each kind of list says what it is called, how it is read, and how it is now."""
