using System.Text.Json.Serialization;
using Stig.Model.Networks;

namespace Stig.Model.Translation;

/// <summary>What a model does to the log magnitude of a spectrum.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Preset>))]
public enum Preset
{
    /// <summary>
    /// The closed-form filter, and on top of it a network that learns a residual with the paper's losses, starting from the filter exactly.
    /// </summary>
    Default,

    /// <summary>The reference implementation's behaviour number for number, its slips included (docs/method.md lists them).</summary>
    Official,

    /// <summary>The closed form alone: mean log magnitude of the real images minus that of the fake ones is added.</summary>
    Filter,
}

/// <summary>Everything that decides how a model computes, apart from its weights; stored in every checkpoint.</summary>
/// <param name="Preset">What the model does to the log magnitude.</param>
/// <param name="Size">Height and width in pixels of the images it was trained at.</param>
/// <param name="Width">Channels of the generator's uppermost level (64 in the paper); 0 without a network.</param>
/// <param name="Normalization">Statistics of the generator's normalisation.</param>
/// <param name="ResidualGain">
/// For <see cref="Preset.Default"/>: the largest change, in nats of log magnitude, that the network can make.
/// </param>
public sealed record ModelArchitecture(Preset Preset, int Size, int Width, NormalizationMode Normalization, double ResidualGain = 1)
{
    /// <summary>Radius in bins, at <see cref="Size"/>, of the disc around zero frequency that the filter leaves alone.</summary>
    public const int ProtectedRadius = 8;

    /// <summary>Whether the model has a closed-form filter.</summary>
    [JsonIgnore]
    public bool HasFilter => Preset != Preset.Official;

    /// <summary>Whether the model has a generator network.</summary>
    [JsonIgnore]
    public bool HasNetwork => Preset != Preset.Filter;

    /// <summary>Heights and widths that the model takes are multiples of this; others are padded by reflection and cropped back.</summary>
    [JsonIgnore]
    public int SizeMultiple => HasNetwork ? NestedUNet.SizeMultiple : 1;

    internal NestedUNet Generator => new(Width, ZeroOutput: Preset == Preset.Default);
}
