namespace Stig.Model.Checkpoints;

/// <summary>Element types of the safetensors format, all little-endian. The names are those of the file's header.</summary>
public enum StoredType
{
    /// <summary>A truth value in one byte, 0 or 1.</summary>
    BOOL,

    /// <summary>Unsigned integer of 8 bits.</summary>
    U8,

    /// <summary>Signed integer of 8 bits.</summary>
    I8,

    /// <summary>Signed integer of 16 bits.</summary>
    I16,

    /// <summary>Unsigned integer of 16 bits.</summary>
    U16,

    /// <summary>IEEE 754 binary16.</summary>
    F16,

    /// <summary>The upper half of an IEEE 754 binary32.</summary>
    BF16,

    /// <summary>Signed integer of 32 bits.</summary>
    I32,

    /// <summary>Unsigned integer of 32 bits.</summary>
    U32,

    /// <summary>IEEE 754 binary32.</summary>
    F32,

    /// <summary>IEEE 754 binary64.</summary>
    F64,

    /// <summary>Signed integer of 64 bits.</summary>
    I64,

    /// <summary>Unsigned integer of 64 bits.</summary>
    U64,
}

/// <summary>What the format says of each element type.</summary>
internal static class StoredTypes
{
    internal static int Size(this StoredType type) => type switch
    {
        StoredType.BOOL or StoredType.U8 or StoredType.I8 => 1,
        StoredType.I16 or StoredType.U16 or StoredType.F16 or StoredType.BF16 => 2,
        StoredType.I32 or StoredType.U32 or StoredType.F32 => 4,
        StoredType.F64 or StoredType.I64 or StoredType.U64 => 8,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "not an element type of the safetensors format"),
    };

    /// <summary>Exact, unlike Enum.TryParse, which takes numbers and lists as well.</summary>
    internal static bool TryParse(string name, out StoredType type)
    {
        foreach (StoredType candidate in Enum.GetValues<StoredType>())
        {
            if (candidate.ToString() == name)
            {
                type = candidate;
                return true;
            }
        }

        type = default;
        return false;
    }
}
