package fn

// Storage holds content by its identifier.
type Storage struct{}

// Content is what is known of a piece of content.
type Content struct {
	CID    string `json:"cid"`
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	Pinned bool   `json:"pinned"`
}

// Put stores and pins bytes, at most 16 MiB, under a name that is only for people.
func (Storage) Put(name string, data []byte) (Content, error) {
	var answer struct {
		Content
		Error string `json:"error"`
		Code  string `json:"code"`
	}
	if err := decode(hostStoragePut(name, data), &answer); err != nil {
		return Content{}, err
	}
	answer.Name = name
	return answer.Content, failure(answer.Code, answer.Error)
}

// Get is the content of an identifier; [ErrNotFound] when the namespace does not have it, or it is empty.
func (Storage) Get(cid string) ([]byte, error) {
	data := hostStorageGet(cid)
	if len(data) == 0 {
		return nil, ErrNotFound
	}
	return data, nil
}

// Head tells about content without reading it.
func (Storage) Head(cid string) (Content, error) {
	answer := hostStorageHead(cid)
	if len(answer) == 0 {
		return Content{}, ErrNotFound
	}
	var content Content
	err := decode(answer, &content)
	return content, err
}
