// Package credential stands in for the one of the SDK's repository, which asks Microsoft Entra ID.
package credential

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// NewOptions has nothing to say.
type NewOptions struct{}

// New gives what hands out tokens that nobody has signed. The emulator takes any; Azurite looks at what they claim.
func New(*NewOptions) (azcore.TokenCredential, error) { return unsigned{}, nil }

type unsigned struct{}

func (unsigned) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	now := time.Now()
	expires := now.Add(time.Hour)
	encode := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"aud":"https://storage.azure.com","iss":"https://sts.windows.net/00000000-0000-0000-0000-000000000000/","iat":%d,"nbf":%[1]d,"exp":%d}`, now.Unix(), expires.Unix())
	token := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode([]byte(claims)) + "." + encode([]byte("none"))
	return azcore.AccessToken{Token: token, ExpiresOn: expires}, nil
}
