using System.Text.Json.Serialization;

namespace Stig.Model.Execution;

/// <summary>
/// Arithmetic of convolutions. Transforms, statistics and losses are float32 always; sums are float32 always. Where it is optional, null
/// leaves the choice to the device ("auto").
/// </summary>
[JsonConverter(typeof(JsonStringEnumConverter<Precision>))]
public enum Precision
{
    /// <summary>float32, products too: on a GPU without tensor cores.</summary>
    F32,

    /// <summary>CUDA only: float32 values whose products are rounded to TF32 (10 bits of mantissa) for the tensor cores.</summary>
    Tf32,

    /// <summary>Feature maps and weights rounded to bfloat16 (7 bits of mantissa).</summary>
    Bf16,
}
