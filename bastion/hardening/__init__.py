"""What a hardened server looks like (SOW §2.2.4-1 and 附件一), read from what it says about itself. No Django."""
