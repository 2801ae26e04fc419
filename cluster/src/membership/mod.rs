//! What a node is: empty, forming, joining, a member; and how members come and go.
